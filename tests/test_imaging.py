"""Gain control and colours for the eye; corrections of sensor counts, with what they gain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from irtrack.build import load_detector
from irtrack.config import PALETTES, DetectorSettings, DisplaySettings
from irtrack.core import ConfigError, Floats, IrtrackError
from irtrack.detect.detector import NetworkDetector
from irtrack.imaging.agc import Agc
from irtrack.imaging.correction import Correction, correction_from, destriped, load_correction
from irtrack.imaging.palettes import TABLES


@pytest.fixture
def scene() -> np.ndarray:  # type: ignore[type-arg]
    """16-bit: a wide cold sky, warm ground, a hot spot."""
    rng = np.random.default_rng(2)
    counts = rng.normal(7000, 6, (120, 160))
    counts[90:] += 400 + rng.normal(0, 60, (30, 160))
    counts[20:23, 30:33] = 12000
    return counts.astype(np.uint16)


@pytest.mark.parametrize("mode", ["auto", "percentile", "plateau"])
def test_more_counts_are_never_darker(scene: np.ndarray, mode: str) -> None:  # type: ignore[type-arg]
    grey = Agc(DisplaySettings(agc=mode))(scene)
    assert grey.dtype == np.uint8
    assert grey.shape == scene.shape
    order = np.argsort(scene.ravel(), kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()
    assert grey[21, 31] == 255
    assert grey.min() == 0


def test_plateau_shows_sky_and_ground_at_once(scene: np.ndarray) -> None:  # type: ignore[type-arg]
    """The sky's noise and the ground's structure both get many levels though a hot spot stretches the range."""
    plateau = Agc(DisplaySettings(agc="plateau"))(scene)
    linear = Agc(DisplaySettings(agc="linear", level=9500, span=5000))(scene)
    assert plateau[90:].std() > 3 * linear[90:].std()
    assert plateau[:80].std() > linear[:80].std()


def test_local_contrast_rises_with_clahe(scene: np.ndarray) -> None:  # type: ignore[type-arg]
    percentile, clahe = (Agc(DisplaySettings(agc=m))(scene)[:80].std() for m in ("percentile", "clahe"))
    assert clahe > 1.5 * percentile, (clahe, percentile)


def test_linear_is_level_and_span() -> None:
    image = np.array([[1000, 1500, 2000, 500, 9000]], np.uint16)
    agc = Agc(DisplaySettings(agc="linear", level=1500, span=1000))
    assert agc(image).tolist() == [[0, 128, 255, 0, 255]]
    assert agc.levels == (1000.0, 2000.0)


def test_lock_keeps_the_gain_and_a_region_leads_it(scene: np.ndarray) -> None:  # type: ignore[type-arg]
    agc = Agc()
    first = agc(scene)
    agc.lock = True
    assert np.array_equal(agc(scene), first)
    assert agc((scene + 300).astype(np.uint16)).mean() > first.mean() + 10
    ground = Agc(DisplaySettings(region="0,95,160,20"))(scene)
    assert (ground[:80] == 0).mean() > 0.99
    assert np.array_equal(Agc(DisplaySettings(region="5000,5000,9,9"))(scene), first)


def test_plain_pictures_stay_as_they_are_and_flat_ones_dark_noise() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(Agc()(image), image)
    flat = np.random.default_rng(1).integers(7000, 7002, (64, 64)).astype(np.uint16)
    for mode in ("percentile", "plateau"):
        assert np.ptp(Agc(DisplaySettings(agc=mode))(flat)) < 80


@pytest.mark.parametrize("given", [{"agc": "loud"}, {"palette": "Grey"}, {"region": "1,2,3"}, {"region": "0,0,0,5"}])
def test_bad_display_settings_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        DisplaySettings.from_dict(given)


def test_palettes() -> None:
    assert tuple(TABLES) == PALETTES
    weights = np.array([0.2126, 0.7152, 0.0722])
    for name, table in TABLES.items():
        assert table.shape == (256, 3)
        assert table.dtype == np.uint8
        light = np.diff((table @ weights)[[0, 64, 128, 192, 255]])
        if name != "Rainbow":  # all others order the levels by lightness
            assert (light < 0).all() if name == "Black hot" else (light > 0).all()


class Sensor:
    """Counts of an uncooled camera: offsets of pixels and columns, bad pixels, noise; targets at known places."""

    def __init__(self, seed: int, stripes: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = (128, 160)
        self.offset = self.rng.normal(0, 25, self.size) + self.rng.normal(0, stripes, (1, self.size[1]))
        self.bad = self.rng.random(self.size) < 0.004
        self.stuck = self.rng.choice([0, 16383], self.size)
        yy, xx = np.mgrid[: self.size[0], : self.size[1]]
        self.places = np.array([(x, y) for y in (22, 64, 106) for x in (20, 60, 100, 140)], float)
        self.targets = sum(110 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 1.2**2)) for x, y in self.places)
        self.ground = 40 * np.sin(xx / 35) + 60 * (yy / self.size[0])

    def image(self, targets: bool = True, flat: bool = False) -> np.ndarray:  # type: ignore[type-arg]
        counts = 8000 + self.offset + self.rng.normal(0, 4, self.size)
        counts += 0 if flat else self.ground
        counts += self.targets if targets else 0
        return np.where(self.bad, self.stuck, counts).round().astype(np.uint16)

    def flats(self, n: int = 40) -> np.ndarray:  # type: ignore[type-arg]
        return np.stack([self.image(targets=False, flat=True) for _ in range(n)])

    def scr(self, image: np.ndarray) -> Floats:  # type: ignore[type-arg]
        """Signal-to-clutter ratio of each target: peak over the deviation of what surrounds it."""
        out = []
        for x, y in self.places.astype(int):
            around = image[y - 12 : y + 13, x - 12 : x + 13].astype(float)
            ring = np.ones(around.shape, bool)
            ring[8:17, 8:17] = False
            out.append((around[12, 12] - around[ring].mean()) / around[ring].std())
        return np.array(out)

    def found(self, detector: NetworkDetector, image: np.ndarray) -> tuple[float, int]:  # type: ignore[type-arg]
        """Share of targets that the network finds, and false detections."""
        d = detector(image)
        far = np.linalg.norm(self.places[:, None] - d.xy_px, axis=2) if len(d) else np.full((len(self.places), 1), 99.0)
        return float((far.min(1) < 3).mean()), int((far.min(0) >= 3).sum()) if len(d) else 0


@pytest.fixture(scope="module")
def detector() -> NetworkDetector:
    return load_detector(DetectorSettings(weights="datransnet-s", backend="torch"))


def test_one_point_correction_brings_targets_back(detector: NetworkDetector) -> None:
    """Ratio and detections before and after, on a sensor whose fixed pattern is six times its noise."""
    sensor = Sensor(3)
    correct, raw = correction_from(sensor.flats()), sensor.image()
    after = correct(raw)
    assert after.dtype == np.uint16
    assert np.median(sensor.scr(after)) > 2.5 * np.median(sensor.scr(raw))
    (pd_raw, false_raw), (pd, false) = sensor.found(detector, raw), sensor.found(detector, after)
    print(f"SCR {np.median(sensor.scr(raw)):.1f} -> {np.median(sensor.scr(after)):.1f}")
    print(f"Pd {pd_raw:.2f} -> {pd:.2f}, false {false_raw} -> {false}")
    assert pd >= 0.9 > pd_raw + 0.2
    assert false <= false_raw


def test_bad_pixels_are_found_and_replaced() -> None:
    sensor = Sensor(4)
    correct = correction_from(sensor.flats())
    assert (correct.bad & sensor.bad).sum() >= 0.98 * sensor.bad.sum()
    assert (correct.bad & ~sensor.bad).sum() <= 3
    after, clean = correct(sensor.image()).astype(float), 8000 + sensor.ground + sensor.targets
    error = np.abs(after - clean - np.median(after - clean))
    assert error[sensor.bad].mean() < 25
    assert np.percentile(error, 99) < 25


def test_a_blinking_pixel_is_bad() -> None:
    rng = np.random.default_rng(5)
    flats = rng.normal(5000, 4, (40, 40, 50))
    flats[:, 10, 20] += rng.choice([-60, 60], 40)
    flats[:, 30, 5] = 5000.0
    bad = correction_from(flats.round().astype(np.uint16)).bad
    assert bad[10, 20]
    assert bad[30, 5]
    assert bad.sum() <= 4


def test_destriping(detector: NetworkDetector) -> None:
    """Columns alone: no flat scene is needed."""
    sensor = Sensor(6, stripes=40.0)
    sensor.offset -= sensor.offset - sensor.offset.mean(0)
    sensor.bad[:] = False
    raw = sensor.image()
    after = destriped(raw)
    before, now = np.median(sensor.scr(raw)), np.median(sensor.scr(after))
    (pd_raw, _), (pd, _) = sensor.found(detector, raw), sensor.found(detector, after)
    print(f"SCR {before:.1f} -> {now:.1f}, Pd {pd_raw:.2f} -> {pd:.2f}")
    assert now > 2.5 * before
    assert pd >= max(0.7, pd_raw + 0.3)  # faint points on what is left of the stripes: 0.9 with the weights before
    clean = Sensor(7)
    clean.offset[:], clean.bad[:] = 0, False
    picture = clean.image()
    assert np.abs(destriped(picture).astype(int) - picture).mean() < 2.0


def test_corrections_are_kept_and_checked(tmp_path: Path) -> None:
    made = correction_from(Sensor(8).flats(10))
    made.save(tmp_path / "deep" / "camera.npz")
    again = load_correction(tmp_path / "deep" / "camera.npz")
    assert np.array_equal(again.offset, made.offset)
    assert np.array_equal(again.bad, made.bad)
    with pytest.raises(IrtrackError, match="160x128 pixels, the picture has 20x10"):
        again(np.zeros((10, 20), np.uint16))
    with pytest.raises(IrtrackError, match="irtrack flat"):
        load_correction(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a file")
    with pytest.raises(IrtrackError, match="no correction"):
        load_correction(tmp_path / "bad.npz")
    with pytest.raises(IrtrackError, match="too few"):
        correction_from(Sensor(8).flats(3))
    flats = Sensor(8).flats(10)
    flats[:, np.random.default_rng(1).random(flats.shape[1:]) < 0.2] = 60000
    with pytest.raises(IrtrackError, match="look bad"):
        correction_from(flats)


def test_eight_bits_stay_eight_bits() -> None:
    image = np.full((20, 30), 250, np.uint8)
    correct = Correction(np.full((20, 30), -9.0, np.float32), np.zeros((20, 30), bool))
    assert correct(image).dtype == np.uint8
    assert (correct(image) == 255).all()
    assert destriped(image).dtype == np.uint8
