//! Secrets in a command's output, and escape sequences in what a server sends.
