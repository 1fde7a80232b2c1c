//! PDF files of as many pages as a test wants.

use std::fmt::Write;

/// Lines of a page; more do not fit on it.
const LINES: usize = 40;

/// A file of so many pages of text, each line of which says its page and its number.
pub fn pages(count: usize) -> Vec<u8> {
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::new();
    let mut object = |file: &mut String, content: &str| {
        offsets.push(file.len());
        let number = offsets.len();
        write!(file, "{number} 0 obj\n{content}\nendobj\n").unwrap();
    };
    object(&mut file, "<< /Type /Catalog /Pages 2 0 R >>");
    let kids: String = (0..count).map(|page| format!("{} 0 R ", 4 + 2 * page)).collect();
    object(&mut file, &format!("<< /Type /Pages /Count {count} /Kids [{kids}] >>"));
    object(&mut file, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    for page in 0..count {
        let content = 5 + 2 * page;
        object(
            &mut file,
            &format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R \
                 /Resources << /Font << /F1 3 0 R >> >> >>"
            ),
        );
        let text = text(page);
        let length = text.len();
        object(&mut file, &format!("<< /Length {length} >>\nstream\n{text}\nendstream"));
    }
    let (size, start) = (offsets.len() + 1, file.len());
    write!(file, "xref\n0 {size}\n0000000000 65535 f \n").unwrap();
    for offset in offsets {
        writeln!(file, "{offset:010} 00000 n ").unwrap();
    }
    write!(file, "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").unwrap();
    file.into_bytes()
}

fn text(page: usize) -> String {
    let mut text = "BT /F1 12 Tf 14 TL 72 740 Td\n".to_owned();
    for line in 0..LINES {
        let words = ["tide", "gate", "lock", "weir", "sluice", "canal"];
        let word = words[(page * 7 + line * line) % words.len()];
        writeln!(text, "(On page {page} line {line} tells of the {word} and of its keeper.) '")
            .unwrap();
    }
    text + "ET"
}
