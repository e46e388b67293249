"""Writes test/fixtures/rasters: small GeoTIFF files as GDAL makes them, and NumPy files as NumPy does.

The value of band b (from 0) at row y and column x is always value(b, y, x) below, so the tests need no copy of the pixels.
Run: /usr/bin/python3 scripts/reference/make_geotiff.py   (python3-gdal and python3-numpy of Debian 12)
"""

from pathlib import Path

import numpy as np
from osgeo import gdal, osr

gdal.UseExceptions()
FOLDER = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "rasters"
WIDTH, HEIGHT = 37, 29  # multiples of nothing: the last tiles and strips are not whole

TYPES = {
    "uint8": gdal.GDT_Byte, "uint16": gdal.GDT_UInt16, "int16": gdal.GDT_Int16, "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32, "float64": gdal.GDT_Float64,
}  # fmt: skip


def value(bands: int, dtype: str, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """[bands, height, width]: 40·b + 3·y + 2·x; negative where the type can be, with a quarter where it has fractions."""
    b, y, x = np.mgrid[:bands, :height, :width]
    values = 40 * b + 3 * y + 2 * x
    if dtype in ("int16", "int32"):
        values = values - 100
    if dtype.startswith("float"):
        values = values - 100 + 0.25
    return values.astype(dtype)


def write(
    name, dtype, bands, options, *,
    nodata=None, descriptions=None, epsg=32632, origin=(600000, 5300040), metres=10, driver="GTiff", size=(HEIGHT, WIDTH), change=None,
):  # fmt: skip
    height, width = size
    values = value(bands, dtype, height, width)
    if change:
        change(values)
    memory = gdal.GetDriverByName("MEM").Create("", width, height, bands, TYPES[dtype])
    system = osr.SpatialReference()
    system.ImportFromEPSG(epsg)
    memory.SetProjection(system.ExportToWkt())
    memory.SetGeoTransform((origin[0], metres, 0, origin[1], 0, -metres))
    for b in range(bands):
        band = memory.GetRasterBand(b + 1)
        band.WriteArray(values[b])
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if descriptions:
            band.SetDescription(descriptions[b])
    path = FOLDER / name
    gdal.GetDriverByName(driver).CreateCopy(str(path), memory, options=options)
    return path


TILED = ["TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=16"]
S2 = ["B2", "B3", "B8A"]


def hole(values):
    """No data in a rectangle of the first band, and one pixel of the last."""
    values[0, 3:9, 5:20] = 7
    values[-1, 0, 0] = 7


def nans(values):
    values[0, 3:9, 5:20] = np.nan
    values[-1, 0, 0] = np.inf


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("none-strips-uint8.tif", "uint8", 2, [], descriptions=["B1", "B2"])
    write("lzw-strips-uint16.tif", "uint16", 2, ["COMPRESS=LZW", "BLOCKYSIZE=5"], descriptions=S2[:2])
    write("lzw-predictor2-tiles-uint8.tif", "uint8", 3, [*TILED, "COMPRESS=LZW", "PREDICTOR=2"], descriptions=S2)
    write("deflate-tiles-int16.tif", "int16", 3, [*TILED, "COMPRESS=DEFLATE"], descriptions=S2)
    write("deflate-predictor2-planes-uint16.tif", "uint16", 3, [*TILED, "COMPRESS=DEFLATE", "PREDICTOR=2", "INTERLEAVE=BAND"], descriptions=S2)
    write("deflate-predictor2-tiles-int32.tif", "int32", 2, [*TILED, "COMPRESS=DEFLATE", "PREDICTOR=2"], descriptions=S2[:2])
    write("deflate-predictor3-tiles-float32.tif", "float32", 2, [*TILED, "COMPRESS=DEFLATE", "PREDICTOR=3"], descriptions=S2[:2])
    write("deflate-predictor3-strips-float64.tif", "float64", 1, ["COMPRESS=DEFLATE", "PREDICTOR=3"], descriptions=["VV"])
    write("zstd-tiles-uint16.tif", "uint16", 3, [*TILED, "COMPRESS=ZSTD"], descriptions=S2)
    write("zstd-predictor3-planes-float32.tif", "float32", 2, [*TILED, "COMPRESS=ZSTD", "PREDICTOR=3", "INTERLEAVE=BAND"], descriptions=S2[:2])
    write("packbits-strips-uint8.tif", "uint8", 1, ["COMPRESS=PACKBITS"], descriptions=["B1"])
    write("big-endian-predictor2-uint16.tif", "uint16", 3, [*TILED, "COMPRESS=DEFLATE", "PREDICTOR=2", "ENDIANNESS=BIG"], descriptions=S2)
    write("big-endian-lzw-float32.tif", "float32", 1, ["COMPRESS=LZW", "ENDIANNESS=BIG"], descriptions=S2[:1])
    write("bigtiff-uint16.tif", "uint16", 2, [*TILED, "COMPRESS=DEFLATE", "BIGTIFF=YES"], descriptions=S2[:2])
    write("half-float.tif", "float32", 1, ["NBITS=16"], descriptions=["VV"])
    write("nodata-uint16.tif", "uint16", 3, ["COMPRESS=DEFLATE"], nodata=7, descriptions=S2, change=hole)
    write("nan-float32.tif", "float32", 2, ["COMPRESS=DEFLATE"], descriptions=S2[:2], change=nans)
    write("unnamed-uint16.tif", "uint16", 3, ["COMPRESS=DEFLATE"])
    write("rgb-uint8.tif", "uint8", 3, ["COMPRESS=DEFLATE", "PHOTOMETRIC=RGB"])
    write("degrees-uint16.tif", "uint16", 1, ["COMPRESS=DEFLATE"], descriptions=["B2"], epsg=4326, origin=(11, 48), metres=0.0001)
    write("mercator-uint16.tif", "uint16", 1, ["COMPRESS=DEFLATE"], descriptions=["B2"], epsg=3857, origin=(1224514, 6106855), metres=10)
    write("cog-overviews-uint16.tif", "uint16", 1, ["COMPRESS=DEFLATE", "PREDICTOR=YES", "BLOCKSIZE=128", "OVERVIEW_COUNT=1"], descriptions=S2[:1], driver="COG", size=(150, 140))
    write("sparse-uint16.tif", "uint16", 1, [*TILED, "COMPRESS=DEFLATE", "SPARSE_OK=TRUE"], nodata=0, descriptions=["B2"], change=lambda v: v.__setitem__((0, slice(16, 29)), 0))

    # As Sentinel-2 delivers: one file for each band, at 10, 20 and 60 m, over one area.
    for band, metres in (("B02", 10), ("B8A", 20), ("B01", 60)):
        side = 120 // metres * 3
        write(f"T32TPT_20210614T101031_{band}_{metres}m.tif", "uint16", 1, ["COMPRESS=DEFLATE"], metres=metres, size=(side, 2 * side))

    b, y, x = np.mgrid[:3, :6, :8]
    cube = (40 * b + 3 * y + 2 * x).astype(np.uint16)
    np.save(FOLDER / "cube.npy", cube)
    np.save(FOLDER / "big-endian.npy", cube.astype(">f4"))
    names, dates = np.array(S2), np.array(["2021-06-14", "2021-05-01"], "datetime64[D]")
    series = np.stack([cube, cube + 500])  # [T, C, H, W], not in order
    np.savez_compressed(FOLDER / "series.npz", images=series, bands=names, dates=dates)
    np.savez(FOLDER / "members.npz", B02=cube[0].astype(np.float16), B03=cube[1, ::2, ::2], label=np.int64(3))
    for path in sorted(FOLDER.iterdir()):
        if path.stat().st_size >= 4096:
            raise SystemExit(f"{path.name} has {path.stat().st_size} bytes: fixtures are to be small")


if __name__ == "__main__":
    main()
