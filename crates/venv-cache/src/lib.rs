//! venv-cache
