//! The rows of a file: plausible values, the same ones whenever they are asked for.
//!
//! A row follows from the seed, the edition and its own number, so a file of any size is written with constant memory.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::ids::{guid, mixed};
use super::world::{FileSpec, Format};

const CUSTOMERS: u64 = 997;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const NAMES: &[&str] = &[
    "Adatum",
    "Alpine Ski House",
    "Bellows College",
    "Contoso",
    "Fabrikam, Inc.",
    "Fourth Coffee",
    "Litware",
    "Lucerne Publishing",
    "Northwind Traders",
    "Proseware",
    "Relecloud",
    "Tailspin Toys",
    "Trey Research",
    "Wide World Importers",
    "Wingtip Toys",
    "Woodgrove \"Direct\" Bank",
];
const MARKETS: &[&str] = &[
    "Austria",
    "Brazil",
    "Côte d'Ivoire",
    "France",
    "Germany",
    "India",
    "Japan",
    "Norway",
    "United Kingdom",
    "United States",
];
const CITIES: &[&str] = &["Graz", "Lyon", "München", "Oslo", "Pune", "Recife", "Seattle", "Yokohama"];
const SEGMENTS: &[&str] = &["Education", "Enterprise", "Public Sector", "Small, Medium & Corporate"];
const PRODUCTS: &[&str] =
    &["Dynamics 365 Sales", "Enterprise Mobility E3", "Microsoft 365 E5", "Power BI Pro", "Teams Phone"];
const SERVICES: &[&str] = &["Azure Kubernetes Service", "Bandwidth", "Storage", "Virtual Machines", "SQL Database"];
const WORKLOADS: &[&str] = &["EXCHANGE", "OD4B", "OFFICE", "SHAREPOINT", "TEAMS"];
const STATES: &[&str] = &["Active", "Active", "Active", "Suspended", "Deprovisioned"];
const CHANNELS: &[&str] = &["CSP Direct", "CSP Indirect Reseller", "Digital", "Enterprise Agreement"];

/// What a column holds, told from its name.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// An id of the customer: the same in every row of that customer.
    CustomerId,
    CustomerNumber,
    RowId,
    PartnerNumber,
    CustomerName,
    Domain,
    Month,
    Date,
    Flag,
    Money,
    Units,
    OneOf(&'static [&'static str]),
}

/// A file's content.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(String, Kind)>,
    format: Format,
    rows: u64,
    seed: u64,
    byte_order_mark: bool,
    unix_lines: bool,
}

impl Table {
    pub(super) fn new(file: &FileSpec, seed: u64) -> Self {
        let columns = file.columns.iter().map(|name| (name.clone(), kind(name))).collect();
        let seed = mixed(seed ^ mixed(file.edition));
        Self { columns, format: file.format, rows: file.rows, seed, byte_order_mark: false, unix_lines: false }
    }

    /// The same, with a byte order mark at its beginning and without carriage returns, if so wanted.
    pub(super) fn with_marks(self, byte_order_mark: bool, unix_lines: bool) -> Self {
        Self { byte_order_mark, unix_lines, ..self }
    }

    /// Writes the column names and all rows.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut line = if self.byte_order_mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        self.write_line(&mut line, |column| self.columns[column].0.clone());
        to.write_all(&line)?;
        for row in 0..self.rows {
            line.clear();
            self.write_line(&mut line, |column| self.value(row, column));
            to.write_all(&line)?;
        }
        Ok(())
    }

    /// One row by column name.
    pub(super) fn object(&self, row: u64) -> Map<String, Value> {
        let cell = |(column, (name, _)): (usize, &(String, Kind))| (name.clone(), json!(self.value(row, column)));
        self.columns.iter().enumerate().map(cell).collect()
    }

    fn write_line(&self, line: &mut Vec<u8>, value: impl Fn(usize) -> String) {
        for column in 0..self.columns.len() {
            if column > 0 {
                line.push(if self.format == Format::Csv { b',' } else { b'\t' });
            }
            let value = value(column);
            if self.format == Format::Csv && value.contains([',', '"', '\r', '\n']) {
                line.extend_from_slice(format!("\"{}\"", value.replace('"', "\"\"")).as_bytes());
            } else {
                line.extend_from_slice(value.as_bytes());
            }
        }
        line.extend_from_slice(if self.unix_lines { b"\n" } else { b"\r\n" });
    }

    fn value(&self, row: u64, column: usize) -> String {
        let customer = mixed(row) % CUSTOMERS;
        let noise = mixed(self.seed ^ mixed(row ^ (column as u64) << 40));
        match self.columns[column].1 {
            Kind::CustomerId => guid(mixed(customer)),
            Kind::CustomerNumber => (100_000_000 + mixed(customer) % 900_000_000).to_string(),
            Kind::RowId => guid(mixed(row.wrapping_add(CUSTOMERS))),
            Kind::PartnerNumber => (1_000_000 + mixed(column as u64) % 9_000_000).to_string(),
            Kind::CustomerName => format!("{} {}", NAMES[at(customer, NAMES.len())], customer + 1),
            Kind::Domain => format!("customer{}.example", customer + 1),
            Kind::Month => format!("{}-2026", MONTHS[at(noise, 10)]),
            Kind::Date => format!("2026-{:02}-{:02}", 1 + noise % 10, 1 + (noise >> 8) % 28),
            Kind::Flag => (noise % 2).to_string(),
            Kind::Money => format!("{}.{:02}", noise % 20_000, (noise >> 32) % 100),
            Kind::Units => (noise % 500).to_string(),
            Kind::OneOf(values) => values[at(noise, values.len())].to_owned(),
        }
    }
}

fn kind(column: &str) -> Kind {
    let name = column.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match name.as_str() {
        "isautorenew" => Kind::Flag,
        _ if has(&["mpn"]) && has(&["id"]) => Kind::PartnerNumber,
        _ if has(&["count", "seats", "units", "users", "quantity", "usage", "coresize"]) => Kind::Units,
        _ if has(&["revenue", "acr", "usd", "amount", "price"]) && !name.starts_with("is") => Kind::Money,
        _ if has(&["tpid", "duns", "enrollment"]) => Kind::CustomerNumber,
        _ if has(&["customerid", "customertenantid", "billingaccount"]) => Kind::CustomerId,
        _ if name.ends_with("id") || has(&["number"]) => Kind::RowId,
        _ if has(&["domain"]) => Kind::Domain,
        _ if has(&["partnername", "resellername"]) => Kind::OneOf(&["Contoso Partners", "Contoso Resale"]),
        _ if has(&["customername", "companyname", "tenantname"]) => Kind::CustomerName,
        _ if has(&["date"]) => Kind::Date,
        _ if has(&["month"]) => Kind::Month,
        _ if name.starts_with("is") => Kind::Flag,
        _ => Kind::OneOf(words(&name)),
    }
}

fn words(name: &str) -> &'static [&'static str] {
    let known: [(&[&str], &[&str]); 8] = [
        (&["market", "country", "location"], MARKETS),
        (&["city"], CITIES),
        (&["segment"], SEGMENTS),
        (&["workload"], WORKLOADS),
        (&["state", "status"], STATES),
        (&["channel", "attribution"], CHANNELS),
        (&["service", "meter"], SERVICES),
        (&["product", "offer", "sku", "solution", "division", "category"], PRODUCTS),
    ];
    let found = known.into_iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part)));
    found.map_or(&["Standard", "Premium", ""], |(_, words)| words)
}

fn at(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, edition: u64) -> String {
        let columns = ["CustomerName", "CustomerTenantId", "Month", "BilledRevenueUSD", "IsAutoRenew"];
        let file = FileSpec { format, columns: columns.map(str::to_owned).to_vec(), rows: 500, edition };
        let mut bytes = Vec::new();
        Table::new(&file, 7).write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_csv_is_read_by_somebody_elses_parser_with_all_its_rows() {
        let text = written(Format::Csv, 1);

        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();

        assert_eq!(reader.headers().unwrap().get(3), Some("BilledRevenueUSD"));
        assert_eq!(rows.len(), 500);
        assert!(rows.iter().any(|row| row[0].starts_with("Fabrikam, Inc.")));
        assert!(rows.iter().any(|row| row[0].contains('"')));
        assert!(rows.iter().all(|row| row[1].parse::<uuid::Uuid>().is_ok() && row[2].ends_with("-2026")));
    }

    #[test]
    fn the_same_edition_has_the_same_bytes_and_another_has_others() {
        assert_eq!(written(Format::Csv, 1), written(Format::Csv, 1));
        assert_ne!(written(Format::Csv, 1), written(Format::Csv, 2));
        assert!(written(Format::Tsv, 1).starts_with("CustomerName\tCustomerTenantId\tMonth"));
    }
}
