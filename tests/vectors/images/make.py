#!/usr/bin/env python3
"""Writes the images of this folder. Needs Pillow; the files are kept, so that the tests do not."""
import io
import pathlib

from PIL import Image, ImageCms

HERE = pathlib.Path(__file__).resolve().parent


def picture(width, height, mode="RGB"):
    """Left half red, right half blue, the upper third lighter: turns and crops show."""
    im = Image.new("RGB", (width, height))
    for y in range(height):
        light = 90 if y < height / 3 else 0
        for x in range(width):
            im.putpixel((x, y), (220, light, light) if x < width / 2 else (light, light, 220))
    return im.convert(mode)


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    e[0x010f] = "SECRET CAMERA"
    e.get_ifd(0x8825)[1] = "N"
    return e


def swapped_profile():
    """sRGB whose red is called green: read as what it says, red pixels are green."""
    p = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    r, g = p.index(b"rXYZ"), p.index(b"gXYZ")
    p[r:r + 4], p[g:g + 4] = b"gXYZ", b"rXYZ"
    return bytes(p)


def save(name, im, **how):
    im.save(HERE / name, **how)


save("photo.jpg", picture(200, 120), quality=85)
save("progressive.jpg", picture(200, 120), quality=85, progressive=True)
save("grey.jpg", picture(200, 120, "L"), quality=85)
save("cmyk.jpg", picture(200, 120, "CMYK"), quality=85)
save("turned.jpg", picture(200, 120), quality=85, exif=exif(6))
save("comment.jpg", picture(200, 120), quality=85, comment=b"<script>alert(1)</script>")
save("profile.png", Image.new("RGB", (64, 64), (255, 0, 0)), icc_profile=swapped_profile())
save("opaque.png", picture(200, 120))
save("grey16.png", picture(200, 120, "L").convert("I;16"))
save("palette.png", picture(200, 120, "P"))
rgba = picture(200, 120, "RGBA")
rgba.paste((0, 255, 0, 0), (0, 60, 200, 120))
save("clear.png", rgba)
save("turned.png", picture(200, 120), exif=exif(6))
frames = [picture(100, 60).rotate(90 * i).resize((100, 60)) for i in range(4)]
save("moving.png", frames[0], save_all=True, append_images=frames[1:], duration=70)
save("still.gif", picture(200, 120))
save("moving.gif", frames[0], save_all=True, append_images=frames[1:], duration=[50, 60, 70, 80], loop=0)
save("comment.gif", picture(60, 40), comment=b"alert(1)")
save("photo.webp", picture(200, 120), quality=80)
save("lossless.webp", picture(200, 120), lossless=True)
save("clear.webp", rgba, lossless=True)
save("turned.webp", picture(200, 120), quality=80, exif=exif(6).tobytes())
save("moving.webp", frames[0], save_all=True, append_images=frames[1:], duration=[50, 60, 70, 80], loop=3)
