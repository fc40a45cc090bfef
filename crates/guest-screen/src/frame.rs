//! One picture of the screen.

/// A picture: rows from the top, four bytes a pixel (blue, green, red, unused), no padding.
pub struct Frame {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 4` bytes.
    pub pixels: Vec<u8>,
}

/// Most pixels a frame may have: far above the largest screen.
pub(super) const PIXEL_LIMIT: u64 = 1 << 26;

impl Frame {
    /// Writes the picture into `to`, `width` by `height` pixels: as large as it fits without a
    /// change of proportions, in the middle, black around it.
    pub fn fit(&self, width: u32, height: u32, to: &mut Vec<u8>) {
        let (w, h) = (width as usize, height as usize);
        to.clear();
        to.resize(w * h * 4, 0);
        let (own_w, own_h) = (self.width as usize, self.height as usize);
        if own_w == 0 || own_h == 0 || w == 0 || h == 0 {
            return;
        }
        // Whichever side fills up first decides.
        let (shown_w, shown_h) = if own_w * h >= own_h * w {
            (w, (own_h * w / own_w).clamp(1, h))
        } else {
            ((own_w * h / own_h).clamp(1, w), h)
        };
        let (left, top) = ((w - shown_w) / 2, (h - shown_h) / 2);
        let columns: Vec<usize> = (0..shown_w).map(|x| x * own_w / shown_w * 4).collect();
        for y in 0..shown_h {
            let row = &self.pixels[y * own_h / shown_h * own_w * 4..][..own_w * 4];
            let out = &mut to[((top + y) * w + left) * 4..][..shown_w * 4];
            for (pixel, from) in out.chunks_exact_mut(4).zip(&columns) {
                pixel.copy_from_slice(&row[*from..*from + 4]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(width: u32, height: u32) -> Frame {
        Frame { width, height, pixels: vec![7; (width * height * 4) as usize] }
    }

    fn rows(frame: &Frame, width: u32, height: u32) -> Vec<String> {
        let mut out = Vec::new();
        frame.fit(width, height, &mut out);
        let row = |row: &[u8]| row.chunks(4).map(|p| if p[0] == 7 { '#' } else { '.' }).collect();
        out.chunks(width as usize * 4).map(row).collect()
    }

    #[test]
    fn keeps_proportions_and_stands_in_the_middle() {
        assert_eq!(rows(&plain(4, 2), 4, 4), ["....", "####", "####", "...."]);
        assert_eq!(rows(&plain(2, 4), 4, 4), [".##."; 4]);
        assert_eq!(rows(&plain(2, 2), 4, 4), ["####"; 4]);
        assert_eq!(rows(&plain(8, 8), 2, 2), ["##"; 2]);
    }

    proptest! {
        #[test]
        fn any_size_fits_into_any_other(a in 1..70u32, b in 1..70u32, c in 1..70u32, d in 1..70u32) {
            let mut out = Vec::new();
            plain(a, b).fit(c, d, &mut out);
            prop_assert_eq!(out.len(), (c * d * 4) as usize);
            prop_assert!(out.contains(&7));
        }
    }
}
