//! Encoding pictures of an X screen.

use std::io;

use browserd_api::computer::ScreenshotFormat;
use image::ExtendedColorType;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;

use super::x11::Picture;

/// How a picture is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Encoding {
    pub(super) format: ScreenshotFormat,
    /// Of a jpeg, percent.
    pub(super) quality: u8,
    /// Size of what comes out as a share of the picture's.
    pub(super) scale: f64,
}

impl Encoding {
    pub(super) fn content_type(self) -> &'static str {
        match self.format {
            ScreenshotFormat::Png => "image/png",
            ScreenshotFormat::Jpeg => "image/jpeg",
        }
    }
}

/// Encodes a picture; takes milliseconds of a core, so not for the runtime's thread.
pub(super) fn encode(picture: &Picture, encoding: Encoding) -> io::Result<Vec<u8>> {
    let (mut width, mut height) = (size(picture.width)?, size(picture.height)?);
    let mut rgb = to_rgb(&picture.pixels);
    if encoding.scale < 1.0 {
        let share = |side: u32| ((f64::from(side) * encoding.scale).round() as u32).max(1);
        let whole = RgbImage::from_raw(width, height, rgb)
            .ok_or_else(|| io::Error::other("a picture with too few pixels"))?;
        (width, height) = (share(width), share(height));
        rgb = thumbnail(&whole, width, height).into_raw();
    }
    match encoding.format {
        ScreenshotFormat::Png => png(&rgb, width, height),
        ScreenshotFormat::Jpeg => {
            let mut out = Vec::with_capacity(rgb.len() / 8);
            JpegEncoder::new_with_quality(&mut out, encoding.quality)
                .encode(&rgb, width, height, ExtendedColorType::Rgb8)
                .map_err(io::Error::other)?;
            Ok(out)
        }
    }
}

fn size(side: usize) -> io::Result<u32> {
    u32::try_from(side).map_err(io::Error::other)
}

fn to_rgb(pixels: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; pixels.len() / 4 * 3];
    for (to, from) in rgb.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
        to.copy_from_slice(&[from[2], from[1], from[0]]);
    }
    rgb
}

fn png(rgb: &[u8], width: u32, height: u32) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        // Blue, green, red and black, a pixel each, then all of it twice as high.
        let row = [255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0];
        Picture { width: 4, height: 2, pixels: [row, row].concat() }
    }

    fn encoding(format: ScreenshotFormat, scale: f64) -> Encoding {
        Encoding { format, quality: 90, scale }
    }

    #[test]
    fn a_png_has_the_same_colours() {
        let bytes = encode(&picture(), encoding(ScreenshotFormat::Png, 1.0)).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (4, 2));
        assert_eq!(&pixels[..12], [0, 0, 255, 0, 255, 0, 255, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn scaling_never_ends_in_nothing() {
        for format in [ScreenshotFormat::Png, ScreenshotFormat::Jpeg] {
            let bytes = encode(&picture(), encoding(format, 0.05)).unwrap();
            assert!(bytes.len() > 20);
        }
    }
}
