"""Writes points of three classes into points.csv, and arrays for `nnrun run`. Without NumPy, by hand."""
import random
import struct
import sys

folder = sys.argv[1]
random.seed(4)
centres = {"left": (-1.0, 0.0), "right": (1.0, 0.5), "up": (0.0, 2.0)}
rows = []
for i in range(150):
    kind = random.choice(sorted(centres))
    rows.append((centres[kind][0] + random.gauss(0, 0.2), centres[kind][1] + random.gauss(0, 0.2), kind))
with open(folder + "/points.csv", "w") as file:
    file.write("a,b,kind\n")
    file.writelines(f"{a:.4f},{b:.4f},{kind}\n" for a, b, kind in rows)


def save(name, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(f"{folder}/{name}.npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def numbers(n):
    return struct.pack(f"<{n}f", *[random.uniform(-1, 1) for _ in range(n)])


save("x", "<f4", (4, 2), numbers(8))
save("xs", "<f4", (3, 4, 2), numbers(24))
save("label", "<i4", (4,), struct.pack("<4i", 0, 1, 2, 1))
save("wide", "<i8", (4,), struct.pack("<4q", 0, 1, 2, 1))
save("gain", "<f4", (), struct.pack("<f", 2))
