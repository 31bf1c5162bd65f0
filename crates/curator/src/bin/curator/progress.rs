//! What happens meanwhile, on the standard error stream.
