//! A product as one zip, its files stored without compression, so that the length is known beforehand.

use flate2::Crc;

use super::File;

/// Bytes of the headers in front of a file, in the directory and at the end.
const LOCAL: u64 = 30;
const CENTRAL: u64 = 46;
const END: u64 = 22;

/// The length of the zip of these files, each below a folder of this name.
pub(crate) fn len(folder: &str, files: &[File]) -> u64 {
    let one = |file: &File| LOCAL + CENTRAL + 2 * name(folder, file).len() as u64 + file.content.len();
    files.iter().map(one).sum::<u64>() + END
}

/// The zip itself. For small products: it is made in memory.
pub(crate) fn write(folder: &str, files: &[File]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::<u8>::new(), Vec::<u8>::new());
    for file in files {
        let (name, bytes) = (name(folder, file), file.content.to_vec());
        let mut crc = Crc::new();
        crc.update(&bytes);
        let size = (bytes.len() as u32).to_le_bytes();
        // Version 1.0, no flags, stored, 25 September 2024.
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0x18, 0x39, 0x59];
        common.extend(crc.sum().to_le_bytes());
        common.extend(size.iter().chain(&size));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        let offset = (zip.len() as u32).to_le_bytes();
        zip.extend(b"PK\x03\x04".iter().chain(&common));
        zip.extend(name.as_bytes().iter().chain(&bytes));
        directory.extend(b"PK\x01\x02\x0a\x00".iter().chain(&common));
        directory.extend([0; 10].iter().chain(&offset));
        directory.extend(name.as_bytes());
    }
    let count = (files.len() as u16).to_le_bytes();
    let (start, size) = ((zip.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0".iter().chain(&count).chain(&count).chain(&size).chain(&start));
    zip.extend([0, 0]);
    zip
}

fn name(folder: &str, file: &File) -> String {
    format!("{folder}/{}", file.path)
}
