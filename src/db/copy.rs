//! Rows in the binary form of `COPY`, by which Postgres takes many rows for much less work than by `INSERT`.
//!
//! The form: a head, then each row with the number of its fields, each field with its length (-1 for null), and an end.

use sqlx::encode::{Encode, IsNull};
use sqlx::postgres::PgArgumentBuffer;
use sqlx::{PgConnection, Postgres};

use super::Stored;

const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const NULL: i32 = -1;
const END: i16 = -1;

/// Rows that are about to be copied. Each field must be of exactly the column's type: nothing is cast.
pub struct Rows {
    buffer: PgArgumentBuffer,
}

impl Rows {
    /// None yet; room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = PgArgumentBuffer::default();
        buffer.reserve(HEAD.len() + bytes);
        buffer.extend_from_slice(HEAD);
        Self { buffer }
    }

    /// Begins a row of so many fields.
    pub fn row(&mut self, fields: i16) {
        self.buffer.extend_from_slice(&fields.to_be_bytes());
    }

    /// Adds the next field of the row.
    pub fn field<'v>(&mut self, value: impl Encode<'v, Postgres>) -> Stored<&mut Self> {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&NULL.to_be_bytes());
        if let IsNull::No = value.encode(&mut self.buffer).map_err(sqlx::Error::Encode)? {
            let length = self.buffer.len() - at - size_of::<i32>();
            let length = i32::try_from(length).map_err(|error| sqlx::Error::Encode(error.into()))?;
            self.buffer[at..at + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
        }
        Ok(self)
    }

    /// Copies them in; `statement` is a `COPY … FROM STDIN (FORMAT BINARY)`. They are there together or not at all.
    pub async fn copy(mut self, conn: &mut PgConnection, statement: &str) -> Stored<u64> {
        self.buffer.extend_from_slice(&END.to_be_bytes());
        let mut copy = conn.copy_in_raw(statement).await?;
        copy.send(&self.buffer[..]).await?;
        Ok(copy.finish().await?)
    }
}
