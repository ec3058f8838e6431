//! Measures a report while it passes: decodes gzip, hashes the decoded bytes, reads the column names, counts rows and keeps
//! a few of them. The memory it needs does not grow with the report.

use std::io::{self, Write};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use flate2::write::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::Encoding;
use crate::secret::hex;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const KEPT_ROWS: usize = 5;
const MOST_COLUMNS: usize = 2000;
const LONGEST_CELL: usize = 120;
/// Room for one record; what does not fit is counted and not kept.
const RECORD_BYTES: usize = 256 * 1024;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How the bytes came.
    pub encoding: Encoding,
    /// Bytes of the report itself.
    pub size_bytes: u64,
    /// Of the report itself, hexadecimal.
    pub sha256: String,
    /// Without the header.
    pub rows: u64,
    /// Names, in their order; at most 2000.
    pub columns: Vec<String>,
    /// The first few rows; cells of at most 120 characters.
    pub first_rows: Vec<Vec<String>>,
}

/// Takes a report's bytes as they come.
pub struct Profiler {
    stage: Stage,
    gzip_said: bool,
    delimiter: u8,
}

enum Stage {
    /// Not enough bytes to tell.
    Start(Vec<u8>),
    Plain(Box<Measure>),
    Gzip(Box<MultiGzDecoder<Measure>>),
}

impl Profiler {
    /// `gzip_said`: the answer's `Content-Encoding` was gzip. Otherwise the first two bytes decide.
    pub fn new(format: &str, gzip_said: bool) -> Self {
        let delimiter = if format == "tsv" { b'\t' } else { b',' };
        Self { stage: Stage::Start(Vec::new()), gzip_said, delimiter }
    }

    /// Takes the next bytes. An error means that the gzip is broken.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Plain(measure) => measure.write_all(bytes),
            Stage::Gzip(decoder) => decoder.write_all(bytes),
            Stage::Start(held) => {
                held.extend_from_slice(bytes);
                if held.len() < MAGIC.len() {
                    return Ok(());
                }
                let held = std::mem::take(held);
                self.begin(&held);
                self.take(&held)
            }
        }
    }

    fn begin(&mut self, held: &[u8]) {
        let measure = Measure::new(self.delimiter);
        self.stage = if self.gzip_said || held.starts_with(&MAGIC) {
            Stage::Gzip(Box::new(MultiGzDecoder::new(measure)))
        } else {
            Stage::Plain(Box::new(measure))
        };
    }

    /// All bytes have come. An error means that the gzip is broken or was cut.
    pub fn finish(mut self) -> io::Result<Profile> {
        if let Stage::Start(held) = &mut self.stage {
            let held = std::mem::take(held);
            self.begin(&held);
            self.take(&held)?;
        }
        match self.stage {
            Stage::Gzip(decoder) => Ok(decoder.finish()?.finish(Encoding::Gzip)),
            Stage::Plain(measure) => Ok(measure.finish(Encoding::Identity)),
            Stage::Start(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// What decoded bytes are written to.
struct Measure {
    hash: Sha256,
    size_bytes: u64,
    reader: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    output_at: usize,
    ends_at: usize,
    records: u64,
    columns: Vec<String>,
    first_rows: Vec<Vec<String>>,
}

impl Measure {
    fn new(delimiter: u8) -> Self {
        Self {
            hash: Sha256::new(),
            size_bytes: 0,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            output: vec![0; RECORD_BYTES],
            ends: vec![0; MOST_COLUMNS],
            output_at: 0,
            ends_at: 0,
            records: 0,
            columns: Vec::new(),
            first_rows: Vec::new(),
        }
    }

    /// Reads records; an empty input means the end of the report.
    fn read(&mut self, mut input: &[u8]) {
        let at_end = input.is_empty();
        loop {
            let (result, read, written, ended) =
                self.reader.read_record(input, &mut self.output[self.output_at..], &mut self.ends[self.ends_at..]);
            input = &input[read..];
            self.output_at += written;
            self.ends_at += ended;
            match result {
                ReadRecordResult::Record => self.record(),
                // What does not fit is not kept: the record goes on to the next one.
                ReadRecordResult::OutputFull => self.output_at = 0,
                ReadRecordResult::OutputEndsFull => self.ends_at = 0,
                ReadRecordResult::InputEmpty if at_end => {}
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return,
            }
        }
    }

    fn record(&mut self) {
        if self.records <= KEPT_ROWS as u64 {
            let cells = self.cells();
            if self.records == 0 { self.columns = cells } else { self.first_rows.push(cells) }
        }
        self.records += 1;
        (self.output_at, self.ends_at) = (0, 0);
    }

    fn cells(&self) -> Vec<String> {
        let mut start = 0;
        self.ends[..self.ends_at]
            .iter()
            .map(|&end| {
                let cell = self.output.get(start..end).unwrap_or_default();
                start = end;
                let text = String::from_utf8_lossy(cell);
                let text = text.trim_start_matches('\u{feff}').trim();
                text.chars().filter(|c| !c.is_control()).take(LONGEST_CELL).collect()
            })
            .collect()
    }

    fn finish(mut self, encoding: Encoding) -> Profile {
        self.read(&[]);
        Profile {
            encoding,
            size_bytes: self.size_bytes,
            sha256: hex(&self.hash.finalize()),
            rows: self.records.saturating_sub(1),
            columns: self.columns,
            first_rows: self.first_rows,
        }
    }
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        if !bytes.is_empty() {
            self.read(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\u{feff}Month,Customer\r\nAPR-2026,\"Contoso, \"\"Ltd\"\"\nNew York\"\r\n,Fabrikam\r\n";

    fn profile(chunks: &[&[u8]], gzip_said: bool) -> io::Result<Profile> {
        let mut profiler = Profiler::new("csv", gzip_said);
        for chunk in chunks {
            profiler.take(chunk)?;
        }
        profiler.finish()
    }

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_report_is_measured_the_same_however_its_bytes_are_cut() {
        let whole = profile(&[REPORT.as_bytes()], false).unwrap();
        let single: Vec<&[u8]> = REPORT.as_bytes().chunks(1).collect();

        assert_eq!(whole.columns, ["Month", "Customer"]);
        assert_eq!(whole.rows, 2);
        assert_eq!(whole.first_rows[0], ["APR-2026", "Contoso, \"Ltd\"New York"]);
        assert_eq!(whole.size_bytes, REPORT.len() as u64);
        assert_eq!(whole.sha256, hex(&Sha256::digest(REPORT)));
        assert_eq!(profile(&single, false).unwrap(), whole);
    }

    #[test]
    fn gzip_is_seen_by_header_or_by_its_first_bytes_and_measured_decoded() {
        let bytes = gzipped(REPORT.as_bytes());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();

        for said in [true, false] {
            let profile = profile(&single, said).unwrap();

            assert_eq!(profile.encoding, Encoding::Gzip);
            assert_eq!((profile.rows, profile.size_bytes), (2, REPORT.len() as u64));
        }
    }

    #[test]
    fn a_broken_or_cut_gzip_is_an_error() {
        let bytes = gzipped(REPORT.as_bytes());
        let mut broken = bytes.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 0xff;

        assert!(profile(&[&bytes[..bytes.len() - 9]], true).is_err());
        assert!(profile(&[&bytes[..bytes.len() - 4]], true).is_err());
        assert!(profile(&[&broken], true).is_err());
        assert!(profile(&[b"no gzip at all"], true).is_err());
        assert!(profile(&[], true).is_err());
    }

    #[test]
    fn a_report_without_rows_or_without_a_last_line_end_is_counted_right() {
        for (text, rows) in [("", 0), ("A,B\n", 0), ("A,B", 0), ("A,B\n1,2", 1), ("A,B\n1,2\n", 1)] {
            assert_eq!(profile(&[text.as_bytes()], false).unwrap().rows, rows, "{text:?}");
        }
    }

    #[test]
    fn a_monstrous_record_is_counted_and_takes_no_more_memory() {
        let wide = format!("{}\n{}\n1\n", "c,".repeat(5000), "x".repeat(RECORD_BYTES * 3));

        let profile = profile(&[wide.as_bytes()], false).unwrap();

        assert_eq!(profile.rows, 2);
        assert!(profile.columns.len() <= MOST_COLUMNS);
    }
}
