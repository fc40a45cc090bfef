//! The pointer's picture, which is in no image of the screen.

use super::Frame;

/// The pointer's picture: premultiplied ARGB, and the point in it that points.
pub(super) struct Pointer {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) hot: (i32, i32),
    pub(super) pixels: Vec<u32>,
}

impl Pointer {
    /// Draws the pointer into `frame`, pointing at `at`.
    pub(super) fn draw(&self, frame: &mut Frame, at: (i32, i32)) {
        let (left, top) = (at.0 - self.hot.0, at.1 - self.hot.1);
        let (width, height) = (frame.width as i32, frame.height as i32);
        for (row, pixels) in
            self.pixels.chunks_exact(self.width.max(1)).take(self.height).enumerate()
        {
            let y = top + row as i32;
            if !(0..height).contains(&y) {
                continue;
            }
            for (column, pixel) in pixels.iter().enumerate() {
                let x = left + column as i32;
                if !(0..width).contains(&x) {
                    continue;
                }
                let [blue, green, red, alpha] = pixel.to_le_bytes();
                let place = ((y * width + x) * 4) as usize;
                let under = &mut frame.pixels[place..place + 3];
                for (under, over) in under.iter_mut().zip([blue, green, red]) {
                    let shines = u16::from(*under) * u16::from(255 - alpha) / 255;
                    *under = over.saturating_add(shines as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_cut_at_the_edges_and_lets_what_is_under_it_shine_through() {
        let pointer = Pointer {
            width: 2,
            height: 2,
            hot: (1, 1),
            pixels: vec![0xff00_00ff, 0xffff_0000, 0x8000_0000, 0],
        };
        let mut frame = Frame { width: 2, height: 2, pixels: vec![200; 16] };
        pointer.draw(&mut frame, (1, 1));
        assert_eq!(frame.pixels[..3], [255, 0, 0]);
        assert_eq!(frame.pixels[4..7], [0, 0, 255]);
        assert_eq!(frame.pixels[8..11], [99; 3]);
        assert_eq!(frame.pixels[12..15], [200; 3]);
        for at in [(-5, -5), (9, 9), (i32::from(i16::MAX), 0), (2, 2), (0, 0)] {
            pointer.draw(&mut frame, at);
        }
    }
}
