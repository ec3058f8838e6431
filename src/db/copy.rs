//! Rows in the binary form of `COPY`, by which Postgres takes many rows for much less work than by `INSERT`.
//!
//! The form: a head, then each row with the number of its fields, each field with its length (-1 for null), and an end.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgCopyIn, PgTypeInfo};
use sqlx::{PgConnection, Postgres, Type};

use super::Stored;

const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const NULL: i32 = -1;
const END: i16 = -1;

/// Rows that are about to be copied.
pub struct Rows {
    buffer: PgArgumentBuffer,
    count: usize,
}

impl Default for Rows {
    fn default() -> Self {
        let mut buffer = PgArgumentBuffer::default();
        buffer.extend_from_slice(HEAD);
        Self { buffer, count: 0 }
    }
}

impl Rows {
    /// Adds a row of so many fields, which `fill` adds; where that fails, none. Tells how many bytes it takes.
    pub fn add(&mut self, fields: i16, fill: impl FnOnce(&mut Row<'_>) -> Stored<()>) -> Stored<usize> {
        let before = self.buffer.len();
        self.buffer.extend_from_slice(&fields.to_be_bytes());
        if let Err(error) = fill(&mut Row { buffer: &mut self.buffer }) {
            self.buffer.truncate(before);
            return Err(error);
        }
        self.count += 1;
        Ok(self.buffer.len() - before)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long they are together, in bytes.
    pub fn length(&self) -> usize {
        self.buffer.len()
    }

    /// Removes them all. Room for so many bytes is kept.
    pub fn clear(&mut self, bytes: usize) {
        self.count = 0;
        self.buffer.truncate(HEAD.len());
        self.buffer.shrink_to(bytes);
    }

    /// Inserts the first one by a prepared `statement` with a parameter for each field, of these types: a round trip less.
    pub async fn insert_first(&self, conn: &mut PgConnection, statement: &'static str, types: &[Oid]) -> Stored<()> {
        let mut rest = &self.buffer[HEAD.len() + size_of::<i16>()..];
        let mut query = sqlx::query(statement);
        for oid in types {
            let (length, behind) = rest.split_at(size_of::<i32>());
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let value = usize::try_from(length).ok().map(|length| &behind[..length]);
            rest = &behind[value.map_or(0, <[u8]>::len)..];
            query = query.bind(Field { value, oid: *oid });
        }
        query.execute(conn).await?;
        Ok(())
    }
}

/// A row that is being made. Each field must be of exactly the column's type: nothing is cast.
pub struct Row<'r> {
    buffer: &'r mut PgArgumentBuffer,
}

impl Row<'_> {
    /// Adds the next field.
    pub fn field<'v>(&mut self, value: impl Encode<'v, Postgres>) -> Stored<&mut Self> {
        self.add(|buffer| value.encode(buffer))
    }

    /// Adds the next field, a text that `write` writes.
    pub fn text<E: Into<BoxDynError>>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Stored<&mut Self> {
        self.add(|buffer| write(buffer).map(|()| IsNull::No).map_err(Into::into))
    }

    fn add(&mut self, write: impl FnOnce(&mut PgArgumentBuffer) -> Result<IsNull, BoxDynError>) -> Stored<&mut Self> {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&NULL.to_be_bytes());
        if let IsNull::No = write(self.buffer).map_err(sqlx::Error::Encode)? {
            let length = self.buffer.len() - at - size_of::<i32>();
            let length = i32::try_from(length).map_err(|error| sqlx::Error::Encode(error.into()))?;
            self.buffer[at..at + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
        }
        Ok(self)
    }
}

/// A field as it stands in a row, of a type that is known by its number.
struct Field<'r> {
    value: Option<&'r [u8]>,
    oid: Oid,
}

impl Type<Postgres> for Field<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Field<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.value.unwrap_or_default());
        Ok(if self.value.is_some() { IsNull::No } else { IsNull::Yes })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.oid))
    }
}

/// A copy that was begun: Postgres waits for its rows. Rows of one copy are there together or not at all.
pub struct Copy<'c>(PgCopyIn<&'c mut PgConnection>);

impl<'c> Copy<'c> {
    /// Begins it; `statement` is a `COPY … FROM STDIN (FORMAT BINARY)`.
    pub async fn begin(conn: &'c mut PgConnection, statement: &str) -> Stored<Self> {
        Ok(Self(conn.copy_in_raw(statement).await?))
    }

    /// Sends the rows and waits until they are there.
    pub async fn finish(mut self, rows: &mut Rows) -> Stored<u64> {
        let before = rows.buffer.len();
        rows.buffer.extend_from_slice(&END.to_be_bytes());
        let sent = self.0.send(&rows.buffer[..]).await;
        rows.buffer.truncate(before);
        sent?;
        Ok(self.0.finish().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_cannot_be_made_leaves_the_others_as_they_were() {
        let mut rows = Rows::default();
        let good = rows.add(1, |row| row.field("good").map(|_| ())).unwrap();
        let before = rows.buffer.to_vec();

        let failed = rows.add(2, |row| {
            row.field("half")?;
            row.text(|to| {
                to.extend_from_slice(b"of it");
                Err("no more")
            })?;
            Ok(())
        });

        assert!(failed.is_err());
        assert_eq!((rows.count(), rows.length() - HEAD.len()), (1, good));
        assert_eq!(*rows.buffer, before);
        rows.clear(0);
        assert_eq!((rows.count(), &rows.buffer[..]), (0, HEAD));
    }
}
