//! Tables of comma-separated values: a file enters, columns by name leave, as numbers, labels or words.
//!
//! A table keeps its fields as text until a column is asked for, so each use says what it expects, and an error names
//! the line of the file and the column. Every row has as many fields as the first one.

use std::fs;
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::array::labels;
use super::{DataError, Place};

/// How a file is laid out; a comma between fields, a line of names first, and `NA`, `N/A`, `NaN`, `nan`, `null`, `?`
/// and empty fields for missing values, unless changed.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    delimiter: u8,
    header: bool,
    missing: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        let missing = ["", "NA", "N/A", "NaN", "nan", "null", "?"].map(str::to_owned).to_vec();
        Self { delimiter: b',', header: true, missing }
    }
}

impl CsvOptions {
    /// The byte between fields, such as `b';'` or `b'\t'`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Whether the first line names the columns. Without names they are called `1`, `2`, ….
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// What stands for a missing value, instead of the usual markers.
    pub fn missing(mut self, markers: &[&str]) -> Self {
        self.missing = markers.iter().map(|&marker| marker.to_owned()).collect();
        self
    }

    /// Reads a file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Table, DataError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
        self.parse(path, &bytes)
    }

    /// Reads the bytes of a file; errors name `source`.
    pub fn parse(&self, source: impl AsRef<Path>, bytes: &[u8]) -> Result<Table, DataError> {
        let place = Place::of(source);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(bytes);
        let mut names: Option<Vec<String>> = None;
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(unreadable(&place, &error)),
            }
            let line = record.position().map_or(0, |position| line_of(bytes, position));
            let Some(names) = &names else {
                if self.header {
                    names = Some(record.iter().map(str::to_owned).collect());
                    continue;
                }
                names = Some((1..=record.len()).map(|number| number.to_string()).collect());
                rows.push(record.clone());
                lines.push(line);
                continue;
            };
            if record.len() != names.len() {
                let place = place.line(line).boxed();
                let (expected, found) = (names.len() as u64, record.len() as u64);
                return Err(DataError::Count { place, unit: "fields", expected, found });
            }
            rows.push(record.clone());
            lines.push(line);
        }
        if rows.is_empty() {
            return Err(DataError::Empty { place: place.boxed(), what: "row" });
        }
        let names = names.unwrap_or_default();
        if let Some(name) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(DataError::format(&place.column(name.1), "names that differ", "the same name twice"));
        }
        Ok(Table { place, names, rows, lines, missing: self.missing.clone() })
    }
}

/// The line a record begins on: its position is that of the empty lines before it.
fn line_of(bytes: &[u8], position: &::csv::Position) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| bytes.get(byte..)).unwrap_or(&[]);
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + empty.filter(|&&byte| byte == b'\n').count() as u64
}

fn unreadable(place: &Place, error: &::csv::Error) -> DataError {
    let line = error.position().map(::csv::Position::line);
    let place = Place { line, ..place.clone() };
    let found = match error.kind() {
        ::csv::ErrorKind::Utf8 { .. } => "bytes that are no UTF-8".to_owned(),
        _ => error.to_string(),
    };
    DataError::format(&place, "text in rows of fields", found)
}

/// What to do about missing numbers of a column. Mean and median are those of all rows of the table: to learn nothing
/// from a test part, measure them in a table of the training part and fill by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// This number.
    Value(f32),
    /// The mean of the others.
    Mean,
    /// The median of the others: the middle one, or the mean of the two in the middle.
    Median,
}

/// Rows of named fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    place: Place,
    names: Vec<String>,
    rows: Vec<StringRecord>,
    lines: Vec<u64>,
    missing: Vec<String>,
}

impl Table {
    /// Reads a file with the usual [`CsvOptions`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        CsvOptions::default().read(path)
    }

    /// How many rows there are; at least 1.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: a table without rows is an error of its reader, or of what took them away.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The columns' names, from left to right.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The fields of a column as numbers, all present and finite.
    pub fn numbers(&self, name: &str) -> Result<Vec<f32>, DataError> {
        let column = self.column(name)?;
        (0..self.len()).map(|row| self.number(row, column)).collect()
    }

    /// The fields of a column as numbers; missing ones become what `fill` says. If all are missing, a mean or a
    /// median is an error.
    pub fn numbers_filled(&self, name: &str, fill: Fill) -> Result<Vec<f32>, DataError> {
        let column = self.column(name)?;
        let present = |row: usize| (!self.is_missing(row, column)).then(|| self.number(row, column)).transpose();
        let values: Vec<Option<f32>> = (0..self.len()).map(present).collect::<Result<_, _>>()?;
        let mut known: Vec<f32> = values.iter().copied().flatten().collect();
        let filler = match fill {
            Fill::Value(value) => value,
            _ if known.is_empty() => {
                return Err(DataError::Empty { place: self.place.column(name).boxed(), what: "number" });
            }
            Fill::Mean => (known.iter().map(|&x| f64::from(x)).sum::<f64>() / known.len() as f64) as f32,
            Fill::Median => {
                known.sort_unstable_by(f32::total_cmp);
                let (low, high) = (known[(known.len() - 1) / 2], known[known.len() / 2]);
                ((f64::from(low) + f64::from(high)) / 2.0) as f32
            }
        };
        Ok(values.into_iter().map(|value| value.unwrap_or(filler)).collect())
    }

    /// The rows of some columns as arrays of numbers, all present and finite.
    pub fn rows<const N: usize>(&self, names: [&str; N]) -> Result<Vec<[f32; N]>, DataError> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = self.column(name)?;
        }
        let mut rows = Vec::with_capacity(self.len());
        for row in 0..self.len() {
            let mut numbers = [0.0; N];
            for (number, &column) in numbers.iter_mut().zip(&columns) {
                *number = self.number(row, column)?;
            }
            rows.push(numbers);
        }
        Ok(rows)
    }

    /// The fields of a column as labels: whole numbers from 0 to `classes - 1`.
    pub fn labels(&self, name: &str, classes: usize) -> Result<Vec<u32>, DataError> {
        let column = self.column(name)?;
        let one = |row: usize| {
            let place = self.place(row, column);
            let found = self.parsed::<f64>(row, column, "a label")?;
            let label = labels(&place, std::iter::once(found), classes).ok().and_then(|label| label.first().copied());
            label.ok_or_else(|| DataError::Label { place: place.boxed(), bound: classes, found })
        };
        (0..self.len()).map(one).collect()
    }

    /// The fields of a column as text, all present: what a [`Vocabulary`](super::Vocabulary) is made of.
    pub fn words(&self, name: &str) -> Result<Vec<&str>, DataError> {
        let column = self.column(name)?;
        let one = |row: usize| {
            if self.is_missing(row, column) {
                return Err(DataError::Missing { place: self.place(row, column).boxed() });
            }
            Ok(self.field(row, column))
        };
        (0..self.len()).map(one).collect()
    }

    /// The rows in which none of these columns misses its value.
    pub fn without_missing(&self, names: &[&str]) -> Result<Self, DataError> {
        let columns: Vec<usize> = names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?;
        self.keep(|row| columns.iter().all(|&column| !self.is_missing(row, column)))
    }

    /// The rows that hold in these columns what no row before them holds, so that none is in two parts of a split.
    pub fn without_duplicates(&self, names: &[&str]) -> Result<Self, DataError> {
        let columns: Vec<usize> = names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?;
        let mut seen = std::collections::BTreeSet::new();
        self.keep(|row| seen.insert(columns.iter().map(|&column| self.field(row, column)).collect::<Vec<_>>()))
    }

    fn keep(&self, mut wanted: impl FnMut(usize) -> bool) -> Result<Self, DataError> {
        let rows: Vec<usize> = (0..self.len()).filter(|&row| wanted(row)).collect();
        if rows.is_empty() {
            return Err(DataError::Empty { place: self.place.boxed(), what: "row" });
        }
        Ok(Self {
            place: self.place.clone(),
            names: self.names.clone(),
            rows: rows.iter().map(|&row| self.rows[row].clone()).collect(),
            lines: rows.iter().map(|&row| self.lines[row]).collect(),
            missing: self.missing.clone(),
        })
    }

    fn column(&self, name: &str) -> Result<usize, DataError> {
        self.names.iter().position(|known| known == name).ok_or_else(|| {
            let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
            DataError::format(&self.place, format!("a column `{name}`"), names.join(", "))
        })
    }

    fn field(&self, row: usize, column: usize) -> &str {
        self.rows[row].get(column).unwrap_or("")
    }

    fn is_missing(&self, row: usize, column: usize) -> bool {
        self.missing.iter().any(|marker| marker == self.field(row, column))
    }

    fn place(&self, row: usize, column: usize) -> Place {
        self.place.line(self.lines[row]).column(&self.names[column])
    }

    fn parsed<T: std::str::FromStr>(&self, row: usize, column: usize, expected: &str) -> Result<T, DataError> {
        if self.is_missing(row, column) {
            return Err(DataError::Missing { place: self.place(row, column).boxed() });
        }
        let field = self.field(row, column);
        field.parse().map_err(|_| DataError::format(&self.place(row, column), expected, format!("`{field}`")))
    }

    fn number(&self, row: usize, column: usize) -> Result<f32, DataError> {
        let number: f32 = self.parsed(row, column, "a number")?;
        if number.is_finite() {
            return Ok(number);
        }
        Err(DataError::NotFinite { place: self.place(row, column).boxed(), found: f64::from(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::shared;
    use proptest::prelude::*;

    fn table(text: &str) -> Table {
        CsvOptions::default().parse("t.csv", text.as_bytes()).unwrap()
    }

    const TEXT: &str = "size, color ,class\n1.5,red,0\n\"2\",\"dark, blue\",2\n-3e2,red,1\n";

    #[test]
    fn columns_have_types() {
        let table = table(TEXT);
        assert_eq!(table.names(), ["size", "color", "class"]);
        assert_eq!(table.numbers("size").unwrap(), [1.5, 2.0, -300.0]);
        assert_eq!(table.rows(["class", "size"]).unwrap(), [[0.0, 1.5], [2.0, 2.0], [1.0, -300.0]]);
        assert_eq!(table.words("color").unwrap(), ["red", "dark, blue", "red"]);
        assert_eq!(table.labels("class", 3).unwrap(), [0, 2, 1]);
        let bare = CsvOptions::default().header(false).delimiter(b';').parse("t", b"1;2\n3;4").unwrap();
        assert_eq!(bare.rows(["2", "1"]).unwrap(), [[2.0, 1.0], [4.0, 3.0]]);
        assert_eq!(table.without_duplicates(&["color"]).unwrap().numbers("size").unwrap(), [1.5, 2.0]);
    }

    #[test]
    fn mistakes_are_named_by_line_and_column() {
        let wrong = |text: &str| table(text).numbers("b").unwrap_err().to_string();
        assert_eq!(wrong("a,b\n1,2\n3,x"), "t.csv, line 3, column `b`: expected a number, found `x`");
        assert_eq!(wrong("a,b\n1,2\n\n3,"), "t.csv, line 4, column `b`: expected a value, found none");
        assert_eq!(wrong("a,b\n1,?"), "t.csv, line 2, column `b`: expected a value, found none");
        assert_eq!(wrong("a,b\n1,-inf"), "t.csv, line 2, column `b`: expected a finite number, found -inf");
        assert_eq!(wrong("a,b\n1,1e99"), "t.csv, line 2, column `b`: expected a finite number, found inf");
        assert_eq!(wrong("a,B\n1,2"), "t.csv: expected a column `b`, found `a`, `B`");
        assert_eq!(
            table(TEXT).labels("class", 2).unwrap_err().to_string(),
            "t.csv, line 3, column `class`: expected a label from 0 to 1, found 2"
        );
        assert_eq!(
            table(TEXT).labels("size", 2).unwrap_err().to_string(),
            "t.csv, line 2, column `size`: expected a label from 0 to 1, found 1.5"
        );
        let strict = CsvOptions::default().missing(&[]).parse("t.csv", b"b\nNaN").unwrap();
        assert_eq!(
            strict.numbers("b").unwrap_err().to_string(),
            "t.csv, line 2, column `b`: expected a finite number, found NaN"
        );
    }

    #[test]
    fn broken_files_are_errors() {
        let wrong = |bytes: &[u8]| CsvOptions::default().parse("t.csv", bytes).unwrap_err().to_string();
        assert_eq!(wrong(b"a,b\n1,2\n1,2,3\n"), "t.csv, line 3: expected 2 fields, found 3");
        assert_eq!(wrong(b"a,b\n\"1\n\",2\n1\n"), "t.csv, line 4: expected 2 fields, found 1");
        assert_eq!(wrong(b""), "t.csv is empty, expected at least 1 row");
        assert_eq!(wrong(b"a,b\n"), "t.csv is empty, expected at least 1 row");
        assert_eq!(wrong(b"a,a\n1,2"), "t.csv, column `a`: expected names that differ, found the same name twice");
        assert_eq!(
            wrong(b"a\n1\n\xff\xfe\n"),
            "t.csv, line 3: expected text in rows of fields, found bytes that are no UTF-8"
        );
    }

    #[test]
    fn missing_values_are_filled_as_told() {
        let table = table("x,y\n1,a\n,b\n6,NA\n2,c");
        assert_eq!(table.numbers_filled("x", Fill::Value(-1.0)).unwrap(), [1.0, -1.0, 6.0, 2.0]);
        assert_eq!(table.numbers_filled("x", Fill::Mean).unwrap(), [1.0, 3.0, 6.0, 2.0]);
        assert_eq!(table.numbers_filled("x", Fill::Median).unwrap(), [1.0, 2.0, 6.0, 2.0]);
        assert!(table.words("y").unwrap_err().to_string().starts_with("t.csv, line 4, column `y`"));
        assert_eq!(table.without_missing(&["x", "y"]).unwrap().words("y").unwrap(), ["a", "c"]);
        let none = super::tests::table("x,y\n,1");
        assert_eq!(
            none.numbers_filled("x", Fill::Mean).unwrap_err().to_string(),
            "t.csv, column `x` is empty, expected at least 1 number"
        );
        assert_eq!(none.numbers_filled("x", Fill::Value(2.0)).unwrap(), [2.0]);
    }

    /// The numbers of rows and of missing values that the sources state.
    #[test]
    fn real_tables_are_read() {
        if let Some(folder) = shared("california-housing") {
            let table = Table::read(folder.join("housing.csv")).unwrap();
            assert_eq!(table.len(), 20_640);
            let error = table.numbers("total_bedrooms").unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("housing.csv, line 292, column `total_bedrooms`: expected a value, found none")
            );
            assert_eq!(table.without_missing(&["total_bedrooms"]).unwrap().len(), 20_433);
            assert_eq!(table.without_duplicates(&["ocean_proximity"]).unwrap().len(), 5);
        }
        if let Some(folder) = shared("wine-quality") {
            let table = CsvOptions::default().delimiter(b';').read(folder.join("winequality-red.csv")).unwrap();
            assert_eq!(table.len(), 1599);
            assert_eq!(table.rows(["pH", "alcohol"]).unwrap()[0], [3.51, 9.4]);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, delimiter: u8, header: bool) {
            if let Ok(table) = CsvOptions::default().header(header).delimiter(delimiter).parse("x", &bytes) {
                for name in table.names() {
                    let _ = table.numbers(name);
                    let _ = table.words(name);
                    let _ = table.labels(name, 3);
                    let _ = table.numbers_filled(name, Fill::Median);
                }
            }
        }

        #[test]
        fn text_of_rows_never_panics(text in "[a-z0-9,;\"\n\r.-]{0,80}") {
            let _ = CsvOptions::default().parse("x", text.as_bytes()).map(|table| table.numbers("a"));
        }

        /// Numbers that are written are read again, to the bit.
        #[test]
        fn what_is_written_is_read(rows in proptest::collection::vec([-1e30_f32..1e30, -1.0_f32..1.0], 1..20)) {
            let lines: Vec<String> = rows.iter().map(|[a, b]| format!("{a},{b}")).collect();
            let text = format!("a,b\n{}", lines.join("\n"));
            prop_assert_eq!(table(&text).rows(["a", "b"]).unwrap(), rows);
        }
    }
}
