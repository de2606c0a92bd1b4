export SANDTOP_TEST_SLOWER=5
export SANDTOP_TEST_SETTINGS='boot_seconds = 600
channel = "virtio-serial"
'
sandtop doctor | grep accel
python -m pytest -v --tb=long tests/core/machine/test_driver.py -m vm -k "saved or leaves_nothing"
