//! What this machine lacks.
