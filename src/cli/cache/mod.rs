//! `pipe cache`: looking after the store. One verb a file.

mod amounts;
mod archive;
mod arguments;
mod du;
mod gc;
mod pins;
mod roots;
mod stat;
mod verify;

pub use arguments::CacheVerb;

use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};

pub fn cache(verb: &CacheVerb, session: &Session) -> Result<Exit, Failure> {
    let root = project::current_root();
    let store = load::open_store(&session.global, &root)?;
    match verb {
        CacheVerb::Stat => stat::stat(&store, session),
        CacheVerb::Du => du::du(&store, session),
        CacheVerb::Verify => verify::verify(&store, session),
        CacheVerb::Gc(arguments) => gc::gc(arguments, &store, &root, session),
        CacheVerb::Pin(arguments) => pins::pin(arguments, &store, session),
        CacheVerb::Unpin { targets } => pins::unpin(targets, &store, session),
        CacheVerb::Pins => pins::pins(&store, session),
        CacheVerb::Export { id, file } => archive::export(id, file, &store, session),
        CacheVerb::Import { file } => archive::import(file, &store, session),
    }
}
