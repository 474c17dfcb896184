"""What all other code builds on: errors, files, formats, names, digests of code."""
