//! Making an environment: a virtualenv over a base, or an empty one.
//!
//! `skeleton` is what every virtualenv has. Over a base, one thread walks it (`walk`) and makes
//! the folders, of a virtualenv (`tree`) or of the site folders of an installation (`site`). It
//! writes what has to differ from the base (`scripts`, by the rules of `repoint`), and hands all
//! other files in batches to the threads of `place`.

mod doubles; // distributions that are there more than once
mod egg; // what easy_install left, as installed wheels
mod environment;
mod metadata; // what installers need to take a distribution away
mod place;
mod record;
mod repoint;
mod scripts;
mod site;
mod skeleton;
mod tree;
mod walk;
mod way;

pub use doubles::prevailing;
pub use environment::{Created, create, create_bare, create_telling, create_unless};
