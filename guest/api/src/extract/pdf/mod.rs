//! `application/pdf`: text by its glyphs, where they stand on the page.

mod bidi;
mod blocks;
mod content;
mod fonts;
mod forms;
mod geometry;
mod hyphens;
mod layers;
mod lines;
mod regions;
mod strings;
mod title;
mod to_unicode;
mod unicode;
mod unpack;

use hayro_syntax::object::Dict;
use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};

use super::builder::Builder;
use super::{Extracted, Unreadable, Warning, WarningCode};
use crate::limits;

const DAMAGED: Unreadable = Unreadable::Damaged("PDF");

/// The text of each page.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    unpack::check_tables(source)?;
    let document = Pdf::new(source.to_vec()).map_err(|why| match why {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => Unreadable::Encrypted,
        _ => DAMAGED,
    })?;
    let pages = document.pages();
    if pages.len() > limits::MAX_PAGES {
        return Err(Unreadable::TooManyPages);
    }
    let catalog: Dict<'_> = document.xref().get(document.xref().root_id()).unwrap_or_default();
    let mut reader = content::Reader::new(&catalog);
    let mut builder = Builder::default();
    let mut read = Vec::with_capacity(pages.len());
    let mut bytes = 0;
    for (page, number) in pages.iter().zip(1..) {
        let found = reader.page(page.raw(), page.resources())?;
        warn(&found, number, &mut builder);
        let lines = lines::lines(found.glyphs);
        let parts = lines.iter().flat_map(|line| &line.parts);
        bytes += parts.map(|part| part.text.len()).sum::<usize>();
        if bytes > limits::MAX_TEXT_BYTES {
            return Err(Unreadable::TooLong);
        }
        read.push(lines);
    }
    let style = blocks::Style::of(&read);
    style.join_pages(&mut read);
    for (lines, number) in read.into_iter().zip(1..) {
        builder.page();
        let before = builder.len();
        blocks::write(lines, &style, &mut builder);
        if builder.len() == before {
            builder.warn(Warning {
                code: WarningCode::PageWithoutText,
                page: Some(number),
                detail: "The page holds no text.".to_owned(),
            });
        }
    }
    if builder.len() > limits::MAX_TEXT_BYTES {
        return Err(Unreadable::TooLong);
    }
    Ok(builder.finish(title::title(&document, &catalog, &mut reader.work.budget)))
}

fn warn(found: &content::Found, page: u32, builder: &mut Builder) {
    let page = Some(page);
    let count: usize = found.unmapped.values().sum();
    if count > 0 {
        let fonts = found.unmapped.keys();
        let mut fonts: Vec<&str> = fonts
            .map(|name| if name.is_empty() { "one without a name" } else { name.as_str() })
            .collect();
        fonts.sort_unstable();
        let (characters, say) = match count {
            1 => ("character is", "its font does not say"),
            _ => ("characters are", "their fonts do not say"),
        };
        let fonts = fonts.join(", ");
        let detail = format!("{count} {characters} left out, as {say} what is meant: {fonts}.");
        builder.warn(Warning { code: WarningCode::UnmappedFont, page, detail });
    }
    for font in &found.unreadable {
        let detail = format!("The font {font} cannot be read; what is set in it is left out.");
        builder.warn(Warning { code: WarningCode::FontUnreadable, page, detail });
    }
    if found.broken > 0 {
        let detail = format!("{} streams cannot be unpacked.", found.broken);
        builder.warn(Warning { code: WarningCode::PartLeftOut, page, detail });
    }
    if found.too_deep {
        let most = limits::MAX_PDF_DEPTH;
        let detail = format!("Forms more than {most} levels within others are left out.");
        builder.warn(Warning { code: WarningCode::PartLeftOut, page, detail });
    }
    if found.more_annotations {
        let most = limits::MAX_PDF_ANNOTATIONS;
        let detail = format!("Annotations beyond the first {most} are left out.");
        builder.warn(Warning { code: WarningCode::PartLeftOut, page, detail });
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
