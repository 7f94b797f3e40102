//! From a file to pixels: JPEG, PNG and WebP, turned as their notes say.

use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use ml_core::Rejection;

/// A grey pixel as a PNG file.
pub(super) const ONE_PIXEL: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\x0aIDATx\x9cch\0\0\
    \0\x82\0\x81w\xcdr\xb6\0\0\0\0IEND\xaeB`\x82";

/// Bytes of memory that decoding may take for each pixel that is allowed: 16-bit colours with alpha, twice.
const BYTES_PER_PIXEL_MAX: u64 = 16;

/// Bytes of memory that it may take whatever the image's size: for what it says of itself, and for the decoder's own.
const BYTES_BESIDE_MAX: u64 = 16 << 20;

/// Decodes a file, whose size is known before any pixel of it is.
pub(super) fn decode(file: &[u8], pixels_max: usize) -> Result<RgbImage, Rejection> {
    let broken = |error: ::image::ImageError| Rejection::new("image", "decodes").value(error);
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP];
    let format = ::image::guess_format(file).ok().filter(|format| formats.contains(format));
    let Some(format) = format else {
        return Err(Rejection::new("image", "format")
            .value(beginning(file))
            .limit("a JPEG, PNG or WebP file"));
    };
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc =
        Some((pixels_max as u64).saturating_mul(BYTES_PER_PIXEL_MAX).saturating_add(BYTES_BESIDE_MAX));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels_max as u64 {
        let (value, limit) = (format!("{width} x {height} pixels"), format!("{pixels_max} pixels"));
        return Err(Rejection::new("image", "max_pixels").value(value).limit(limit));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// The first bytes of a file, which tell people what it is.
fn beginning(file: &[u8]) -> String {
    format!("a file that begins with {:?}", String::from_utf8_lossy(&file[..file.len().min(8)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &[u8], pixels_max: usize) -> String {
        decode(file, pixels_max).expect_err("it is none").to_string()
    }

    #[test]
    fn what_is_no_picture_is_refused_with_what_it_is() {
        assert_eq!(decode(ONE_PIXEL, 1).expect("a picture").as_raw(), &[128; 3]);
        assert!(
            refused(b"GIF89a", 1)
                .contains("image breaks the rule format: got a file that begins with \"GIF89a\"")
        );
        assert!(refused(b"", 1).contains("a JPEG, PNG or WebP file"));
        assert!(refused(&ONE_PIXEL[..40], 1).contains("breaks the rule decodes"));
        for cut in 0..ONE_PIXEL.len() - 12 {
            assert!(decode(&ONE_PIXEL[..cut], 1).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn a_picture_that_is_too_large_is_refused_before_it_is_decoded() {
        let mut large = ONE_PIXEL.to_vec();
        // The width, and the sum over the chunk that it is a part of.
        large[16..20].copy_from_slice(&[0, 0x10, 0, 0]);
        let sum = crc(&large[12..29]).to_be_bytes();
        large[29..33].copy_from_slice(&sum);
        assert!(
            refused(&large, 1000).contains("got 1048576 x 1 pixels, allowed is 1000 pixels"),
            "{}",
            refused(&large, 1000)
        );
    }

    fn crc(bytes: &[u8]) -> u32 {
        let of_byte = |sum: u32| {
            (0..8).fold(sum, |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
        };
        !bytes.iter().fold(u32::MAX, |sum, byte| of_byte((sum ^ u32::from(*byte)) & 255) ^ sum >> 8)
    }
}
