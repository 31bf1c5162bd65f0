//! The public behaviour, with real pip, real uv and the real index.

mod bases;
mod install;
mod world;
