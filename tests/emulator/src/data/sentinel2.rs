//! The folder of a Sentinel-2 product, as processing baseline 5.11 lays it out.

pub(crate) mod metadata;

use super::files::Plan;
use super::{Scene, compact};

/// Bands and derived images at each resolution, with the size of the 10 m, 20 m or 60 m file.
pub(crate) const IMAGES: [(u32, &[(&str, u64)]); 3] = [
    (
        10,
        &[
            ("AOT", 1_645_791),
            ("B02", 98_373_583),
            ("B03", 101_728_829),
            ("B04", 100_277_979),
            ("B08", 121_575_559),
            ("TCI", 131_000_000),
            ("WVP", 24_000_000),
        ],
    ),
    (
        20,
        &[
            ("AOT", 1_394_179),
            ("B01", 17_594_460),
            ("B02", 28_541_794),
            ("B03", 29_542_789),
            ("B04", 29_672_784),
            ("B05", 29_916_253),
            ("B06", 33_171_814),
            ("B07", 33_871_745),
            ("B11", 30_547_454),
            ("B12", 30_290_000),
            ("B8A", 34_000_000),
            ("SCL", 1_300_000),
            ("TCI", 37_000_000),
            ("WVP", 12_000_000),
        ],
    ),
    (
        60,
        &[
            ("AOT", 459_675),
            ("B01", 3_497_932),
            ("B02", 3_753_090),
            ("B03", 3_744_583),
            ("B04", 3_732_487),
            ("B05", 3_726_455),
            ("B06", 3_765_302),
            ("B07", 3_738_930),
            ("B09", 3_763_544),
            ("B11", 3_710_000),
            ("B12", 3_690_000),
            ("B8A", 3_780_000),
            ("SCL", 220_000),
            ("TCI", 4_100_000),
            ("WVP", 1_100_000),
        ],
    ),
];

const BANDS: [&str; 13] =
    ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"];

/// The names inside of a product's folder.
pub(crate) struct Names {
    /// `GRANULE/L2A_…`.
    pub(crate) granule: String,
    /// `DATASTRIP/DS_…`.
    pub(crate) datastrip: String,
    /// `T32TQM_20240924T101031`.
    pub(crate) stem: String,
}

impl Names {
    pub(crate) fn new(scene: &Scene) -> Names {
        let tile = scene.tile.as_ref().map_or("", |tile| &tile.name);
        let start = compact(scene.start);
        let made = compact(scene.start + 6 * 3_600_000 + 17_000);
        Names {
            granule: format!("GRANULE/L2A_T{tile}_A{:06}_{start}", scene.orbit),
            datastrip: format!("DATASTRIP/DS_2APS_{made}_S{start}"),
            stem: format!("T{tile}_{start}"),
        }
    }

    /// The path of an image.
    pub(crate) fn image(&self, image: &str, resolution: u32) -> String {
        format!("{}/IMG_DATA/R{resolution}m/{}_{image}_{resolution}m.jp2", self.granule, self.stem)
    }
}

/// All files with their usual sizes.
pub(crate) fn plan(scene: &Scene) -> Vec<Plan> {
    let names = Names::new(scene);
    let (granule, datastrip, stem) = (&names.granule, &names.datastrip, &names.stem);
    let mut plan = vec![
        ("manifest.safe".to_owned(), 69_752),
        ("MTD_MSIL2A.xml".to_owned(), 55_442),
        ("INSPIRE.xml".to_owned(), 19_510),
        (format!("{datastrip}/MTD_DS.xml"), 4_134_791),
        (format!("{granule}/MTD_TL.xml"), 446_963),
        (format!("{granule}/AUX_DATA/AUX_CAMSFO"), 1_240),
        (format!("{granule}/AUX_DATA/AUX_ECMWFT"), 810),
        (format!("{granule}/QI_DATA/{stem}_PVI.jp2"), 84_210),
        (format!("{granule}/QI_DATA/MSK_CLASSI_B00.jp2"), 310_240),
        ("HTML/UserProduct_index.html".to_owned(), 14_300),
        ("HTML/UserProduct_index.xsl".to_owned(), 9_200),
        ("HTML/banner_1.png".to_owned(), 87_200),
        ("rep_info/S2_User_Product_Level-2A_Metadata.xsd".to_owned(), 21_500),
    ];
    for (resolution, images) in IMAGES {
        for (image, size) in images {
            plan.push((names.image(image, resolution), *size));
        }
    }
    for mask in ["CLDPRB", "SNWPRB"] {
        for resolution in [20, 60] {
            plan.push((format!("{granule}/QI_DATA/MSK_{mask}_{resolution}m.jp2"), 180_000));
        }
    }
    for band in BANDS {
        plan.push((format!("{granule}/QI_DATA/MSK_DETFOO_{band}.jp2"), 21_000));
        plan.push((format!("{granule}/QI_DATA/MSK_QUALIT_{band}.jp2"), 34_000));
    }
    for report in ["FORMAT_CORRECTNESS", "GENERAL_QUALITY", "GEOMETRIC_QUALITY", "SENSOR_QUALITY"] {
        plan.push((format!("{granule}/QI_DATA/{report}.xml"), 4_600));
        plan.push((format!("{datastrip}/QI_DATA/{report}.xml"), 5_400));
    }
    plan.push((format!("{granule}/QI_DATA/L2A_QUALITY.xml"), 5_100));
    plan.push((format!("{datastrip}/QI_DATA/RADIOMETRIC_QUALITY.xml"), 6_708));
    plan
}
