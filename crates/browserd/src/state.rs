//! The state folder: one server's, private, with the secrets in it.
//!
//! ```text
//!  <state_dir>/  0700
//!    serve.lock      held by the one `serve` that uses the folder
//!    browserd.db     the store
//!    api-key         the key made at the first start
//!    token-secret    signs the tokens in session URLs
//!    sessions/       the fleet's
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand;
use rustix::fs::{FlockOperation, flock};
use secrecy::SecretBox;

/// Longest secret read back; ours are shorter.
const SECRET_LIMIT: u64 = 1024;

/// The folder, held for as long as this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes the folder if it is not there and takes hold of it. Refuses one that others may write
    /// to, and one another server uses.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the state folder {}", path.display()))?;
        let found = fs::metadata(path)
            .with_context(|| format!("cannot look at the state folder {}", path.display()))?;
        // Not mended by us: who names a folder like /tmp does not want it closed to everyone else.
        if found.uid() != rustix::process::geteuid().as_raw() {
            bail!(
                "the state folder {} belongs to another user; choose another with --state-dir",
                path.display()
            );
        }
        if found.mode() & 0o022 != 0 {
            bail!(
                "others may write to the state folder {0}; close it with: chmod 0700 {0}",
                path.display()
            );
        }
        let lock_path = path.join("serve.lock");
        let lock = private().create(true).truncate(false).open(&lock_path);
        let lock = lock.with_context(|| format!("cannot open {}", lock_path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "another browserd serve uses the state folder {}; stop it, or give this one a \
                 folder of its own with --state-dir",
                path.display()
            );
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that signs session tokens: 32 random bytes, made at the first start.
    pub(crate) fn token_secret(&self) -> Result<SecretBox<[u8; 32]>> {
        let path = self.path.join("token-secret");
        if let Some(bytes) = read_secret(&path)? {
            return match bytes.try_into() {
                Ok(secret) => Ok(SecretBox::new(Box::new(secret))),
                Err(_) => bail!(
                    "{0} does not hold 32 bytes; remove it, and a new one is made (the URLs of \
                     sessions then change): rm {0}",
                    path.display()
                ),
            };
        }
        let secret = random()?;
        write_secret(&path, &secret)?;
        Ok(SecretBox::new(Box::new(secret)))
    }
}

/// 32 bytes nobody can guess.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    if rand::fill(&mut bytes).is_err() {
        bail!("the system has no randomness to give");
    }
    Ok(bytes)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// What a secret file holds; `None` if there is none. One that others may read is no secret.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Vec<u8>>> {
    let problem = || format!("cannot read {}", path.display());
    let file = match private().write(false).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(problem)?,
    };
    if file.metadata().with_context(problem)?.mode() & 0o077 != 0 {
        bail!(
            "others may read {0}, so it may be known to them; remove it to have a new one made, or \
             if you are sure: chmod 0600 {0}",
            path.display()
        );
    }
    let mut bytes = Vec::new();
    file.take(SECRET_LIMIT).read_to_end(&mut bytes).with_context(problem)?;
    Ok(Some(bytes))
}

/// Writes a secret to a new file, whole or not at all, and never over another.
pub(crate) fn write_secret(path: &Path, secret: &[u8]) -> Result<()> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        let mut file = private().create_new(true).open(&draft)?;
        file.write_all(secret)?;
        file.sync_all()?;
        // A link is refused where a name is taken; a rename would take its place.
        fs::hard_link(&draft, path)
    })();
    let removed = fs::remove_file(&draft);
    written.and(removed).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        (folder, path)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn is_private_and_has_one_user_at_a_time() {
        let (_keep, path) = folder();
        let state = StateDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let error = StateDir::open(&path).unwrap_err().to_string();
        assert!(error.contains("another browserd serve"), "{error}");
        drop(state);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn refuses_a_folder_others_write_to_and_leaves_it_alone() {
        let keep = tempfile::tempdir().unwrap();
        set_mode(keep.path(), 0o777);
        let error = StateDir::open(keep.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 0700"), "{error}");
        assert_eq!(mode(keep.path()), 0o777);
        assert_eq!(fs::read_dir(keep.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_token_secret_is_made_once() {
        let (_keep, path) = folder();
        let state = StateDir::open(&path).unwrap();
        let first = *state.token_secret().unwrap().expose_secret();
        assert_ne!(first, [0; 32]);
        assert_eq!(&first, state.token_secret().unwrap().expose_secret());
        assert_eq!(mode(&path.join("token-secret")), 0o600);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "the lock and the secret, no draft");
    }

    #[test]
    fn a_secret_others_can_read_or_that_is_cut_short_is_refused() {
        let (_keep, path) = folder();
        let state = StateDir::open(&path).unwrap();
        state.token_secret().unwrap();
        let file = path.join("token-secret");
        set_mode(&file, 0o644);
        let error = state.token_secret().unwrap_err().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
        set_mode(&file, 0o600);
        fs::write(&file, b"short").unwrap();
        let error = state.token_secret().unwrap_err().to_string();
        assert!(error.contains("32 bytes"), "{error}");
    }

    #[test]
    fn a_secret_never_takes_the_place_of_another() {
        let (_keep, path) = folder();
        StateDir::open(&path).unwrap();
        let file = path.join("secret");
        write_secret(&file, b"first").unwrap();
        write_secret(&file, b"second").unwrap_err();
        assert_eq!(read_secret(&file).unwrap().unwrap(), b"first");
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
        read_secret(&path.join("link")).unwrap_err();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3, "no draft is left");
    }
}
