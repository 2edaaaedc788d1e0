"""check_pgm.py FILE WIDTH HEIGHT: a binary PGM of that size, whole, with a picture in it."""
import re
import sys

data = open(sys.argv[1], "rb").read()
head = re.match(rb"P5\n(\d+) (\d+)\n255\n", data)
assert head, "no PGM header"
width, height = map(int, head.groups())
assert [width, height] == [int(a) for a in sys.argv[2:]], (width, height)
pixels = data[head.end():]
assert len(pixels) == width * height, (len(pixels), "pixels")
assert len(set(pixels)) > 32, "the picture is (nearly) uniform"
border = pixels[:width] + pixels[-width:] + pixels[::width] + pixels[width - 1::width]
assert not any(border), "the border is not black"
