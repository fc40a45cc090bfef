//! `POST /fs/upload`.

pub(super) mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use axum::extract::{Request, State};
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals, StorageRefusals};
use browserd_guest_session::disk::Disk;
use browserd_rest::{Error, Result};
use http::StatusCode;
use rustix::io::Errno;
use utoipa::ToSchema;

use self::names::{Half, Pair};
use super::atomic_write::{AtomicWrite, FILE_MODE, Put};
use super::folders::Made;
use super::form::Form;
use super::owner::Owner;
use super::path::Given;
use super::refuse::refuse_io;
use super::spool::{Spooled, twice};
use super::{Files, Place, blocking};

/// Most files in one request.
const FILES: usize = 1000;
/// Longest path, bytes; paths that are too long for the kernel are refused by name.
const PATH: usize = 8192;

/// The form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub(super) struct UploadForm {
    /// The files, each with its path: parts named `files[0][file]` and `files[0][dest_path]`.
    files: Vec<UploadFile>,
}

/// One file of the form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub(super) struct UploadFile {
    /// Its bytes.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Absolute path it is to have.
    #[schema(pattern = "^/")]
    dest_path: String,
}

/// Upload files.
///
/// A form with a pair of parts a file: `files[0][file]` and `files[0][dest_path]`, in any order.
/// Also understood: `files[0].file`, `files.0.file`, and, where the n-th file goes with the n-th path,
/// `files[][file]`, `files.file` and `file`. Up to 1000 files of any size. All of them appear or none
/// does; each as `write_file` would write it, a new one with permissions 644. An unknown field, a
/// half without the other, and the same path twice are 400 and name the field.
#[utoipa::path(
    post,
    path = "/fs/upload",
    operation_id = "browsers_fs_upload",
    tag = "browsers/fs",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "All of them are there."), Refusals, FileRefusals, BodyRefusals, StorageRefusals),
)]
pub(super) async fn upload(State(files): State<Files>, request: Request) -> Result<StatusCode> {
    let uploads = receive(&files, request).await?;
    let (owner, disk) = (files.owner(), files.disk().clone());
    blocking(move || place(uploads, owner, &disk)).await?;
    Ok(StatusCode::CREATED)
}

/// A pair, as far as it has come.
#[derive(Default)]
struct Halves {
    file: Option<Spooled>,
    dest: Option<Given>,
}

struct Upload {
    spooled: Spooled,
    dest: Given,
}

async fn receive(files: &Files, request: Request) -> Result<Vec<Upload>> {
    let mut form = Form::new(request)?;
    let mut pairs: BTreeMap<(Pair, u32), Halves> = BTreeMap::new();
    let (mut files_in_order, mut dests_in_order) = (0, 0);
    while let Some((name, part)) = form.next().await? {
        let (pair, half) = names::parse(&name).ok_or_else(|| unknown(&name))?;
        let key = match (pair, half) {
            (Pair::Numbered(number), _) => (pair, number),
            (Pair::InOrder, Half::File) => (pair, next(&mut files_in_order)),
            (Pair::InOrder, Half::Dest) => (pair, next(&mut dests_in_order)),
        };
        let halves = pairs.entry(key).or_default();
        match half {
            Half::File if halves.file.is_some() => return Err(twice(&name)),
            Half::Dest if halves.dest.is_some() => return Err(twice(&name)),
            Half::File => halves.file = Some(files.spool(&name, part).await?),
            Half::Dest => {
                let text = part.text(&name, PATH).await?;
                halves.dest = Some(Given::new(name, text)?);
            }
        }
        if pairs.len() > FILES {
            return Err(Error::field(
                "files",
                format!("are more than {FILES}; send several requests"),
            ));
        }
    }
    if pairs.is_empty() {
        return Err(Error::field(
            "files",
            "are missing; send at least one file with its dest_path",
        ));
    }
    pairs
        .into_iter()
        .map(|((pair, number), halves)| {
            let base = match pair {
                Pair::Numbered(_) => format!("files[{number}]"),
                Pair::InOrder => "files[]".to_owned(),
            };
            match (halves.file, halves.dest) {
                (Some(spooled), Some(dest)) => Ok(Upload { spooled, dest }),
                (None, _) => Err(Error::field(
                    format!("{base}[file]"),
                    "is missing; each dest_path needs a file",
                )),
                (_, None) => Err(Error::field(
                    format!("{base}[dest_path]"),
                    "is missing; each file needs a dest_path",
                )),
            }
        })
        .collect()
}

fn next(count: &mut u32) -> u32 {
    *count += 1;
    *count - 1
}

fn unknown(name: &str) -> Error {
    let name: String = name.chars().take(100).collect();
    let field = if name.is_empty() { "body".to_owned() } else { name };
    Error::field(
        field,
        "is not a field of this form; it has files[N][file] and files[N][dest_path]",
    )
}

/// Puts all files in their places, or none.
fn place(uploads: Vec<Upload>, owner: Owner, disk: &Disk) -> Result<()> {
    let mut made = Made::default();
    let mut ready = Vec::with_capacity(uploads.len());
    let mut places = BTreeSet::new();
    for Upload { spooled, dest } in uploads {
        let place = Place::to_write(&dest, |from, path| made.enter(from, path, owner))?;
        let refused = |errno: Errno| dest.refuse(errno);
        if !places.insert(place.real().map_err(refused)?) {
            return Err(dest.wrong("is the path of two files"));
        }
        match place.stat() {
            Ok(stat) => super::place::regular(&dest, &stat)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(refused(errno)),
        }
        let (write, file) = bring(spooled, &place, owner, disk)
            .map_err(|error| refuse_io(&dest.field, &dest, &error))?;
        ready.push((write, file, place, dest));
    }
    let undoable = ready.len() > 1;
    let mut put: Vec<Put> = Vec::with_capacity(ready.len());
    for (write, file, place, dest) in ready {
        let mode = place.stat().is_err().then_some(FILE_MODE);
        match write.put(&file, &place, mode, undoable) {
            Ok(done) => put.push(done),
            Err(errno) => {
                put.into_iter().rev().for_each(Put::undo);
                return Err(dest.refuse(errno));
            }
        }
    }
    made.keep();
    Ok(())
}

/// Moves a spooled file beside its place.
fn bring(
    spooled: Spooled,
    place: &Place,
    owner: Owner,
    disk: &Disk,
) -> std::io::Result<(AtomicWrite, Arc<File>)> {
    let Spooled { mut write, file, bytes } = spooled;
    match write.move_to(&place.dir) {
        Ok(()) => Ok((write, file)),
        Err(Errno::XDEV) => {
            disk.admit_blocking(bytes, 1)?;
            let (there, mut copy) = AtomicWrite::new(&place.dir, owner)?;
            std::io::Seek::rewind(&mut &*file)?;
            std::io::copy(&mut &*file, &mut copy)?;
            Ok((there, Arc::new(copy)))
        }
        Err(errno) => Err(errno.into()),
    }
}
