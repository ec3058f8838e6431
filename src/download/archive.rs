//! Where files rest: `report={slug}-{short id}/date={yyyy-mm-dd}/{execution id}.{csv|tsv}[.gz]`, the bytes as received.
//!
//! A file is written aside and published by one rename after its bytes are on the disk, so that what is there is whole. A
//! reader of a data lake finds partitions, a person finds days.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::Encoding;
use crate::id::{ExecutionId, FileId, ReportId};

const ASIDE: &str = ".incoming";
const BUFFER: usize = 256 * 1024;

/// A folder on this machine.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
}

/// A file being written aside; gone again unless published.
#[derive(Debug)]
pub struct Incoming {
    file: BufWriter<File>,
    path: PathBuf,
    root: PathBuf,
    published: bool,
    written: u64,
}

impl Archive {
    /// Opens the folder, made if need be.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(root.join(ASIDE))?;
        Ok(Self { root })
    }

    /// Begins a file under the number of its claim. What earlier claims on it left aside, killed or taken over, goes: one
    /// of them that still writes can't publish any more.
    pub fn begin(&self, id: FileId, claim: i64) -> io::Result<Incoming> {
        let aside = self.root.join(ASIDE);
        for left in fs::read_dir(&aside)? {
            let left = left?;
            if left.file_name().to_string_lossy().starts_with(&format!("{id}.")) {
                // Its writer may have removed it meanwhile.
                let _ = fs::remove_file(left.path());
            }
        }
        let path = aside.join(format!("{id}.{claim}"));
        let file = BufWriter::with_capacity(BUFFER, File::create(&path)?);
        Ok(Incoming { file, path, root: self.root.clone(), published: false, written: 0 })
    }

    /// The path of a file, for reading.
    pub fn path(&self, location: &str) -> PathBuf {
        self.root.join(location)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Incoming {
    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Puts the file where it belongs, in one step, durably. Returns how many bytes it has.
    pub fn publish(mut self, location: &str) -> io::Result<u64> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let target = self.root.join(location);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        fs::rename(&self.path, &target)?;
        self.published = true;
        File::open(folder)?.sync_all()?;
        Ok(self.written)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the file of an execution belongs.
pub fn location(
    (slug, report): (&str, ReportId),
    date: NaiveDate,
    execution: ExecutionId,
    format: &str,
    encoding: Encoding,
) -> String {
    let id = report.0.simple().to_string();
    let short = &id[id.len() - 8..];
    let suffix = if encoding == Encoding::Gzip { ".gz" } else { "" };
    format!("report={slug}-{short}/date={date}/{execution}.{format}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use chrono::DateTime;

    #[test]
    fn a_file_is_there_when_published_and_leaves_nothing_when_not() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path().into()).unwrap();
        let (first, second) = (FileId::at(DateTime::UNIX_EPOCH), FileId::at(DateTime::UNIX_EPOCH));
        let mut kept = archive.begin(first, 1).unwrap();
        let mut dropped = archive.begin(second, 1).unwrap();
        kept.write(b"hello").unwrap();
        dropped.write(b"half").unwrap();
        drop(dropped);

        assert!(!archive.path("report=r/date=d/x.csv").exists());
        assert_eq!(kept.publish("report=r/date=d/x.csv").unwrap(), 5);

        assert_eq!(fs::read(archive.path("report=r/date=d/x.csv")).unwrap(), b"hello");
        assert_eq!(fs::read_dir(folder.path().join(ASIDE)).unwrap().count(), 0);
    }

    #[test]
    fn whoever_was_taken_over_cannot_publish_any_more_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path().into()).unwrap();
        let id = FileId::at(DateTime::UNIX_EPOCH);
        let mut old = archive.begin(id, 1).unwrap();
        old.write(b"old").unwrap();

        let mut new = archive.begin(id, 2).unwrap();
        new.write(b"new").unwrap();

        assert!(old.publish("r/x.csv").is_err());
        new.publish("r/x.csv").unwrap();
        assert_eq!(fs::read(archive.path("r/x.csv")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path().join(ASIDE)).unwrap().count(), 0);
    }
}
