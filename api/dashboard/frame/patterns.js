// Patterns of hosts, such as `web-*`: `*` is any part of a name, `?` one character.

/** The longest part of `pattern` that a name must have. */
export const literalOf = (pattern) => pattern.split(/[*?]+/).reduce((longest, part) => (part.length > longest.length ? part : longest), "");

/** Whether `host` fits `pattern`. */
export const fitsPattern = (pattern, host) => new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".")}$`).test(host);
