"""Measures the vault beside OpenBao, raw OpenFGA, the bare GraphQL stack and the disk. See docs/performance.md."""
