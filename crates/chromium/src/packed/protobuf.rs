//! The little of protobuf's wire format that a CRX header needs.

/// Not protobuf, or cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The length-delimited fields of a message, in their order, by number; others are passed over.
pub(super) fn fields(mut message: &[u8]) -> Result<Vec<(u64, &[u8])>, Broken> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => {
                take(&mut message, 8)?;
            }
            2 => {
                let length = varint(&mut message)?;
                found.push((tag >> 3, take(&mut message, length)?));
            }
            5 => {
                take(&mut message, 4)?;
            }
            _ => return Err(Broken),
        }
    }
    Ok(found)
}

fn varint(message: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte, rest @ ..] = *message else { return Err(Broken) };
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken)
}

fn take<'a>(message: &mut &'a [u8], length: u64) -> Result<&'a [u8], Broken> {
    let length = usize::try_from(length).map_err(|_| Broken)?;
    let (taken, rest) = message.split_at_checked(length).ok_or(Broken)?;
    *message = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_of_every_kind() {
        let message = [
            &[0x08, 0x96, 0x01][..],
            &[0x12, 2, 7, 8],
            &[0x1d, 0, 0, 0, 0],
            &[0x21; 9],
            &[0x2a, 0],
        ]
        .concat();
        assert_eq!(fields(&message), Ok(vec![(2, &[7, 8][..]), (5, &[][..])]));
        for broken in [&[0x12, 3, 7][..], &[0x80], &[0x0b], &[0x21, 1], &[0xff; 11]] {
            assert_eq!(fields(broken), Err(Broken), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = fields(&bytes);
        }
    }
}
