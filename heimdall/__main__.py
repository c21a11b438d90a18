"""`python -m heimdall`, as `up` starts its children."""

from heimdall.main import main

raise SystemExit(main())
