"""RT Dose keeps its factor apart from Rescale Slope."""

from pydicom.data import get_testdata_file

from medplug.sources import read


def test_a_dose_is_scaled_by_its_dose_grid_scaling():
    [case] = read(get_testdata_file("rtdose_1frame.dcm"))

    assert case.image.values.rescale == (1e-6, 0.0)
