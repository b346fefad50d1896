"""Every model, one family a package, one model a file."""
