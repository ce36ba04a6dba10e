//! The metadata documents of a Sentinel-2 product, as far as programs that open products read them.

use std::fmt::Write;

use super::{IMAGES, Names};
use crate::data::{Scene, iso};

/// Rows and columns of the demo's rasters at each resolution: a cut-out of the tile's upper left corner.
const SIZES: [(u32, u32); 3] = [(10, 1098), (20, 549), (60, 183)];

/// Band name, its number in lists, resolution and wavelengths in nanometres.
const SPECTRUM: [(&str, u32, u32, f64); 13] = [
    ("B1", 0, 60, 442.7),
    ("B2", 1, 10, 492.7),
    ("B3", 2, 10, 559.8),
    ("B4", 3, 10, 664.6),
    ("B5", 4, 20, 704.1),
    ("B6", 5, 20, 740.5),
    ("B7", 6, 20, 782.8),
    ("B8", 7, 10, 832.8),
    ("B8A", 8, 20, 864.7),
    ("B9", 9, 60, 945.1),
    ("B10", 10, 60, 1373.5),
    ("B11", 11, 20, 1613.7),
    ("B12", 12, 20, 2202.4),
];

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n";

fn spacecraft(scene: &Scene) -> &'static str {
    if scene.platform == "S2B" { "Sentinel-2B" } else { "Sentinel-2A" }
}

/// `MTD_MSIL2A.xml`.
pub(crate) fn product(scene: &Scene) -> String {
    let names = Names::new(scene);
    let start = iso(scene.start);
    let mut images = String::new();
    for (resolution, list) in IMAGES {
        for (image, _) in list {
            let path = names.image(image, resolution);
            // Writing into a string does not fail, here and below.
            let _ =
                writeln!(images, "            <IMAGE_FILE>{}</IMAGE_FILE>", path.trim_end_matches(".jp2"));
        }
    }
    let (mut bands, mut offsets) = (String::new(), String::new());
    for (band, number, resolution, nanometres) in SPECTRUM {
        let _ = writeln!(
            bands,
            "        <Spectral_Information bandId=\"{number}\" physicalBand=\"{band}\"><RESOLUTION>{resolution}</RESOLUTION>\
<Wavelength><MIN unit=\"nm\">{:.0}</MIN><MAX unit=\"nm\">{:.0}</MAX><CENTRAL unit=\"nm\">{nanometres}</CENTRAL></Wavelength></Spectral_Information>",
            nanometres - 20.0,
            nanometres + 20.0
        );
        let _ = writeln!(offsets, "        <BOA_ADD_OFFSET band_id=\"{number}\">-1000</BOA_ADD_OFFSET>");
    }
    let mut ring = String::new();
    for [lon, lat] in &scene.ring {
        let _ = write!(ring, "{lat} {lon} ");
    }
    format!(
        r#"{HEAD}<n1:Level-2A_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="https://psd-15.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{start}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{id}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>05.11</PROCESSING_BASELINE>
      <PRODUCT_DOI>https://doi.org/10.5270/S2_-znk9xsj</PRODUCT_DOI>
      <GENERATION_TIME>{made}</GENERATION_TIME>
      <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
      <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
      <Datatake datatakeIdentifier="G{platform}_{compact}_{orbit:06}_N05.11">
        <SPACECRAFT_NAME>{spacecraft}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{relative}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true">
        <PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
      </Query_Options>
      <Product_Organisation>
        <Granule_List>
          <Granule datastripIdentifier="S2_OPER_MSI_L2A_{datastrip}" granuleIdentifier="S2_OPER_MSI_L2A_{granule}" imageFormat="JPEG2000">
{images}          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
      <Image_Display_Order><RED_CHANNEL>3</RED_CHANNEL><GREEN_CHANNEL>2</GREEN_CHANNEL><BLUE_CHANNEL>1</BLUE_CHANNEL></Image_Display_Order>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
      <BOA_ADD_OFFSET_VALUES_LIST>
{offsets}      </BOA_ADD_OFFSET_VALUES_LIST>
      <Spectral_Information_List>
{bands}      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint><Product_Footprint><Global_Footprint><EXT_POS_LIST>{ring}</EXT_POS_LIST></Global_Footprint></Product_Footprint></Product_Footprint>
    <Coordinate_Reference_System><GEO_TABLES version="1">EPSG</GEO_TABLES><HORIZONTAL_CS_TYPE>GEOGRAPHIC</HORIZONTAL_CS_TYPE></Coordinate_Reference_System>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{cloud}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"#,
        id = scene.id,
        made = iso(scene.start + 6 * 3_600_000 + 17_000),
        platform = scene.platform,
        compact = crate::data::compact(scene.start),
        orbit = scene.orbit,
        relative = scene.relative_orbit,
        spacecraft = spacecraft(scene),
        datastrip = names.datastrip.trim_start_matches("DATASTRIP/"),
        granule = names.granule.trim_start_matches("GRANULE/"),
        cloud = scene.cloud.unwrap_or(0.0),
    )
}

/// `MTD_TL.xml` of the granule.
pub(crate) fn granule(scene: &Scene) -> String {
    let Some(tile) = &scene.tile else { return String::new() };
    let names = Names::new(scene);
    let (mut sizes, mut positions) = (String::new(), String::new());
    for (resolution, size) in SIZES {
        let _ = writeln!(
            sizes,
            "      <Size resolution=\"{resolution}\"><NROWS>{size}</NROWS><NCOLS>{size}</NCOLS></Size>"
        );
        let _ = writeln!(
            positions,
            "      <Geoposition resolution=\"{resolution}\"><ULX>{}</ULX><ULY>{}</ULY><XDIM>{resolution}</XDIM><YDIM>-{resolution}</YDIM></Geoposition>",
            tile.x, tile.y
        );
    }
    let half = if tile.epsg > 32700 { 'S' } else { 'N' };
    format!(
        r#"{HEAD}<n1:Level-2A_Tile_ID xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="https://psd-15.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">S2_OPER_MSI_L2A_{granule}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">S2_OPER_MSI_L2A_{datastrip}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
    <SENSING_TIME metadataLevel="Standard">{start}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}{half}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>
{sizes}{positions}    </Tile_Geocoding>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{cloud}</CLOUDY_PIXEL_PERCENTAGE>
      <NODATA_PIXEL_PERCENTAGE>0.0</NODATA_PIXEL_PERCENTAGE>
    </Image_Content_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-2A_Tile_ID>
"#,
        granule = names.granule.trim_start_matches("GRANULE/"),
        datastrip = names.datastrip.trim_start_matches("DATASTRIP/"),
        start = iso(scene.start),
        zone = tile.epsg % 100,
        epsg = tile.epsg,
        cloud = scene.cloud.unwrap_or(0.0),
    )
}
