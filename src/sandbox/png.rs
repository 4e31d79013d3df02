//! A picture for the vendor whose answers are image bytes: a valid PNG, small, and another one for every seed.

/// Pixels on a side.
const SIDE: u8 = 32;

/// A PNG (RGB, 8 bits) that fades between two colours taken from `seed`.
pub(super) fn gradient(seed: &[u8]) -> Vec<u8> {
    let colour = |index: usize| u32::from(seed.get(index).copied().unwrap_or(128));
    let mut rows = Vec::new();
    for y in 0..SIDE {
        // Each row says how it is filtered: not at all.
        rows.push(0);
        for x in 0..SIDE {
            let along = (u32::from(x) + u32::from(y)) * 255 / (2 * u32::from(SIDE) - 2);
            let mixed = |channel| (colour(channel) * (255 - along) + colour(channel + 3) * along) / 255;
            // A mean of two bytes is a byte.
            rows.extend((0..3).map(|channel| u8::try_from(mixed(channel)).unwrap_or(u8::MAX)));
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = u32::from(SIDE).to_be_bytes();
    // Width, height; 8 bits a sample, RGB, deflate, the standard filters, no interlacing.
    chunk(&mut png, *b"IHDR", &[&side[..], &side[..], &[8, 2, 0, 0, 0]].concat());
    chunk(&mut png, *b"IDAT", &zlib(&rows));
    chunk(&mut png, *b"IEND", b"");
    png
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    let typed = [&kind[..], content].concat();
    png.extend(length(content).to_be_bytes());
    png.extend(&typed);
    png.extend(crc32(&typed).to_be_bytes());
}

/// A zlib stream (RFC 1950) of one stored block: no compression, and no code for it.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    // The picture is a few kilobytes, and a block may hold 64 KiB less one.
    let stored = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(stored.to_le_bytes());
    stream.extend((!stored).to_le_bytes());
    stream.extend(bytes);
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::{adler32, crc32, gradient};

    #[test]
    fn checksums_are_the_standard_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        // The chunk that ends every PNG.
        assert!(gradient(b"").ends_with(b"\0\0\0\0IEND\xAE\x42\x60\x82"));
    }

    #[test]
    fn another_seed_gives_another_picture() {
        assert_ne!(gradient(&[1; 32]), gradient(&[2; 32]));
        assert_eq!(gradient(&[1; 32]), gradient(&[1; 32]));
    }
}
