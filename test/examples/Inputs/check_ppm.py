"""check_ppm.py FILE...: binary PPMs of one size, whole, no two alike."""
import re
import sys

pictures = []
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    head = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
    assert head, path + ": no PPM header"
    width, height = map(int, head.groups())
    pixels = data[head.end():]
    assert len(pixels) == 3 * width * height, (path, len(pixels), "bytes")
    assert len(set(pixels)) > 32, path + " is (nearly) uniform"
    pictures.append(data)
assert len(set(pictures)) == len(pictures)
assert len({len(picture) for picture in pictures}) == 1
