// The frame: all that every view stands on. It is served as one file (api/page.py joins these lines), so the
// names in frame/ are in one scope: each is there once. Views import what they need from "/frame.js".
export * from "./frame/cell.js";
export * from "./frame/rest.js";
export * from "./frame/clock.js";
export * from "./frame/address.js";
export * from "./frame/session.js";
export * from "./frame/live.js";
export * from "./frame/answer.js";
export * from "./frame/pages.js";
export * from "./frame/states.js";
export * from "./frame/alerts.js";
export * from "./frame/patterns.js";
export * from "./frame/icon.js";
export * from "./frame/parts.js";
export * from "./frame/firsthost.js";
export * from "./frame/bars.js";
export * from "./frame/keys.js";
export * from "./frame/dialog.js";
export * from "./frame/search.js";
export * from "./frame/walk.js";
export * from "./frame/grid.js";
export * from "./frame/signin.js";
export * from "./frame/shell.js";
export * from "./frame/start.js";
