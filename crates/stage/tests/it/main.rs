//! The public behaviour of `stage`.
