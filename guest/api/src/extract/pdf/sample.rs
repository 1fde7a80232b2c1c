//! Makes PDF files for tests: objects as they are written, a table of where they
//! stand, a trailer.

use std::fmt::Write as _;

/// A file in the making. Object 1 is the catalog, 2 the tree of pages, 3 the
/// resources of every page.
pub(super) struct Sample {
    objects: Vec<Vec<u8>>,
    pages: Vec<usize>,
    fonts: String,
    more: String,
    catalog: String,
    info: Option<usize>,
}

pub(super) const HELVETICA: &str =
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

impl Sample {
    /// A file whose font `F1` is Helvetica.
    pub(super) fn new() -> Self {
        let mut sample = Self {
            objects: vec![Vec::new(); 3],
            pages: Vec::new(),
            fonts: String::new(),
            more: String::new(),
            catalog: String::new(),
            info: None,
        };
        sample.font("F1", HELVETICA);
        sample
    }

    /// A file of one page.
    pub(super) fn of(contents: &str) -> Vec<u8> {
        let mut sample = Self::new();
        sample.page(contents);
        sample.bytes()
    }

    /// Adds an object and returns its number.
    pub(super) fn object(&mut self, body: impl AsRef<[u8]>) -> usize {
        self.objects.push(body.as_ref().to_vec());
        self.objects.len()
    }

    /// Adds a stream with entries for its dictionary.
    pub(super) fn stream(&mut self, entries: &str, data: impl AsRef<[u8]>) -> usize {
        let data = data.as_ref();
        let mut body = format!("<< {entries} /Length {} >>\nstream\n", data.len()).into_bytes();
        body.extend_from_slice(data);
        body.extend_from_slice(b"\nendstream");
        self.object(body)
    }

    pub(super) fn font(&mut self, name: &str, body: &str) {
        let font = self.object(body);
        let _ = write!(self.fonts, "/{name} {font} 0 R ");
    }

    /// Adds to the resources of every page.
    pub(super) fn resources(&mut self, entries: &str) {
        self.more.push_str(entries);
    }

    pub(super) fn catalog(&mut self, entries: &str) {
        self.catalog.push_str(entries);
    }

    pub(super) fn info(&mut self, body: impl AsRef<[u8]>) {
        self.info = Some(self.object(body));
    }

    pub(super) fn page(&mut self, contents: impl AsRef<[u8]>) {
        self.page_with(contents, "");
    }

    /// Adds a page with entries for its dictionary.
    pub(super) fn page_with(&mut self, contents: impl AsRef<[u8]>, entries: &str) {
        let contents = self.stream("", contents);
        let page = self.object(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {contents} 0 R \
             /Resources 3 0 R {entries} >>"
        ));
        self.pages.push(page);
    }

    pub(super) fn bytes(mut self) -> Vec<u8> {
        let kids: String = self.pages.iter().map(|page| format!("{page} 0 R ")).collect();
        let fixed = [
            format!("<< /Type /Catalog /Pages 2 0 R {} >>", self.catalog),
            format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", self.pages.len()),
            format!("<< /Font << {} >> {} >>", self.fonts, self.more),
        ];
        for (object, body) in self.objects.iter_mut().zip(fixed) {
            *object = body.into_bytes();
        }
        let mut bytes = b"%PDF-1.7\n".to_vec();
        let mut places = String::new();
        for (object, number) in self.objects.iter().zip(1..) {
            let _ = writeln!(places, "{:010} 00000 n ", bytes.len());
            bytes.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
            bytes.extend_from_slice(object);
            bytes.extend_from_slice(b"\nendobj\n");
        }
        let table = bytes.len();
        let size = self.objects.len() + 1;
        let info = self.info.map(|info| format!("/Info {info} 0 R")).unwrap_or_default();
        bytes.extend_from_slice(
            format!(
                "xref\n0 {size}\n0000000000 65535 f \n{places}trailer\n<< /Size {size} /Root 1 0 R \
                 {info} >>\nstartxref\n{table}\n%%EOF\n"
            )
            .as_bytes(),
        );
        bytes
    }
}
