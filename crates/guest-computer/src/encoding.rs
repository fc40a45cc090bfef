//! Encoding pictures of an X screen.

use std::io;

use browserd_api::computer::ScreenshotFormat;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use resize::Pixel;
use resize::Type;
use resize::px::RGB;

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
    let (mut width, mut height) = (picture.width, picture.height);
    let mut rgb = to_rgb(&picture.pixels);
    if encoding.scale < 1.0 {
        let share = |side: usize| ((side as f64 * encoding.scale).round() as usize).max(1);
        let to = (share(width), share(height));
        rgb = scaled(&rgb, (width, height), to)?;
        (width, height) = to;
    }
    let (width, height) = (side(width)?, side(height)?);
    match encoding.format {
        ScreenshotFormat::Png => png(&rgb, width, height),
        ScreenshotFormat::Jpeg => jpeg(&rgb, width, height, encoding.quality),
    }
}

fn scaled(
    rgb: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
) -> io::Result<Vec<u8>> {
    let whole: Vec<RGB<u8>> = rgb.chunks_exact(3).map(|p| RGB::new(p[0], p[1], p[2])).collect();
    let mut out = vec![RGB::default(); to_width * to_height];
    resize::new(width, height, to_width, to_height, Pixel::RGB8, Type::Triangle)
        .and_then(|mut resizer| resizer.resize(&whole, &mut out))
        .map_err(io::Error::other)?;
    Ok(out.into_iter().flat_map(|p| [p.r, p.g, p.b]).collect())
}

/// No screen has a side of more than 16 bits (X11), and no JPEG.
fn side(side: usize) -> io::Result<u16> {
    u16::try_from(side).map_err(io::Error::other)
}

fn jpeg(rgb: &[u8], width: u16, height: u16, quality: u8) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = Encoder::new(&mut out, quality);
    // Text stays legible: colours as fine as brightness.
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.encode(rgb, width, height, ColorType::Rgb).map_err(io::Error::other)?;
    Ok(out)
}

fn to_rgb(pixels: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; pixels.len() / 4 * 3];
    for (to, from) in rgb.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
        to.copy_from_slice(&[from[2], from[1], from[0]]);
    }
    rgb
}

fn png(rgb: &[u8], width: u16, height: u16) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = png::Encoder::new(&mut out, width.into(), height.into());
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

    fn decoded(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut decoder = zune_jpeg::JpegDecoder::new(zune_core::bytestream::ZCursor::new(jpeg));
        let pixels = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        (width, height, pixels)
    }

    #[test]
    fn a_jpeg_has_about_the_same_colours_also_when_scaled() {
        let row = [[255, 0, 0, 0].repeat(64), [0, 255, 0, 0].repeat(64)].concat();
        let picture = Picture { width: 128, height: 16, pixels: row.repeat(16) };
        for (scale, size) in [(1.0, (128, 16)), (0.5, (64, 8))] {
            let bytes = encode(&picture, encoding(ScreenshotFormat::Jpeg, scale)).unwrap();
            let (width, height, pixels) = decoded(&bytes);
            assert_eq!((width, height), size);
            let at = |x: usize| &pixels[x * 3..x * 3 + 3];
            for (x, wanted) in [(2, [0, 0, 255]), (width - 3, [0, 255, 0])] {
                let near = at(x).iter().zip(wanted).all(|(is, wanted)| is.abs_diff(wanted) < 16);
                assert!(near, "{:?} at {x} of {width}, and not {wanted:?}", at(x));
            }
        }
    }

    #[test]
    fn scaling_never_ends_in_nothing() {
        for format in [ScreenshotFormat::Png, ScreenshotFormat::Jpeg] {
            let bytes = encode(&picture(), encoding(format, 0.05)).unwrap();
            assert!(bytes.len() > 20);
        }
    }
}
