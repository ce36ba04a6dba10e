//! Windows and overviews of rasters, and parts of HDF5 files, over the network.

use std::path::Path;
use std::process::Command;

use super::{Bar, Row, Unit, again, known, local, on, ours, plain, rclone};
use crate::job::{self, Timed};
use crate::mounts::Settings;
use crate::service::Profile;
use crate::{Result, Stage};

/// A window over four tiles, by gdal_translate.
const WINDOW: &[&str] = &["-srcwin", "3600", "3600", "1024", "1024"];
/// Two blocks wide and three high: three runs of bytes.
const COG_WINDOW: &[&str] = &["-srcwin", "3584", "3600", "1024", "1024"];
/// A sixteenth of the size.
const OVERVIEW: &[&str] = &["-outsize", "686", "686"];

pub(super) fn rows() -> Vec<Row> {
    let gdal = |name, file, arguments: &'static [&'static str]| {
        Row::new(name, Profile::Wan, Unit::Seconds)
            .add(
                "dcmsfs",
                ours(
                    Settings::default(),
                    known(file),
                    on(file, move |stage, path| translate(stage, path, arguments)),
                ),
            )
            .add("vsicurl", plain(move |stage| translate(stage, Path::new(&vsicurl(stage, file)), arguments)))
            .add("rclone", rclone(file, move |stage, path| translate(stage, path, arguments)))
            .add("ext4", plain(move |stage| translate(stage, &local(stage, file), arguments)))
    };
    let python = |name, file, command: &'static str| {
        Row::new(name, Profile::Wan, Unit::Seconds)
            .add(
                "dcmsfs",
                ours(
                    Settings::default(),
                    known(file),
                    on(file, move |stage, path| client(stage, command, path)),
                ),
            )
            .add("vsicurl", plain(move |stage| client(stage, command, Path::new(&vsicurl(stage, file)))))
            .add("rclone", rclone(file, move |stage, path| client(stage, command, path)))
            .add("ext4", plain(move |stage| client(stage, command, &local(stage, file))))
    };
    let hdf5 = |name, command: &'static str| {
        Row::new(name, Profile::Wan, Unit::Seconds)
            .add(
                "dcmsfs",
                ours(
                    Settings::default(),
                    known("s5p"),
                    on("s5p", move |stage, path| client(stage, command, path)),
                ),
            )
            .add(
                "fsspec",
                plain(move |stage| {
                    client(stage, command, Path::new(&stage.service.plain_url(stage.path("s5p"))))
                }),
            )
            .add("rclone", rclone("s5p", move |stage, path| client(stage, command, path)))
            .add("ext4", plain(move |stage| client(stage, command, &local(stage, "s5p"))))
    };
    vec![
        gdal("JP2 window, system's GDAL", "jp2", WINDOW).bar(Bar::Seconds(2.2)).bar(Bar::NoProbes),
        Row::new("JP2 window, another program again", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", again(known("jp2"), on("jp2", |stage, path| translate(stage, path, WINDOW))))
            .bar(Bar::Requests(0)),
        python("JP2 window, rasterio, TLM", "jp2_tlm", "raster-window")
            .bar(Bar::Seconds(1.2))
            .bar(Bar::NoProbes),
        gdal("JP2 overview, system's GDAL", "jp2", OVERVIEW).bar(Bar::Seconds(1.6)),
        python("JP2 overview, rasterio, TLM", "jp2_tlm", "raster-overview").bar(Bar::Seconds(1.6)),
        gdal("COG window, system's GDAL", "cog", COG_WINDOW)
            .bar(Bar::Seconds(0.7))
            .bar(Bar::Bytes(5_000_000))
            .bar(Bar::NoProbes),
        gdal("COG overview, system's GDAL", "cog", OVERVIEW).bar(Bar::NoProbes),
        hdf5("HDF5 walk", "hdf5-walk").bar(Bar::Seconds(1.2)).bar(Bar::Bytes(5_000_000)),
        hdf5("HDF5 slice", "hdf5-slice"),
    ]
}

fn vsicurl(stage: &Stage, name: &str) -> String {
    format!("/vsicurl/{}", stage.service.plain_url(stage.path(name)))
}

fn translate(stage: &Stage, path: &Path, arguments: &[&str]) -> Result<Timed> {
    let mut command = Command::new("gdal_translate");
    command.args(["-q", "-of", "ENVI"]).args(arguments).arg(path).arg("/vsimem/out");
    job::whole(with_header(stage, &mut command), 1.0)
}

fn client(stage: &Stage, command: &str, path: &Path) -> Result<Timed> {
    let mut command = job::python(stage, &[command, &path.to_string_lossy()]);
    job::told(with_header(stage, &mut command), "pieces")
}

/// The credential for those that go to the service themselves.
fn with_header<'a>(stage: &Stage, command: &'a mut Command) -> &'a mut Command {
    let value = format!("Bearer {}", stage.service.token);
    command.env("GDAL_HTTP_HEADERS", format!("Authorization: {value}")).env("AUTHORIZATION", value)
}
