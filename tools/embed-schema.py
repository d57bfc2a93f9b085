#!/usr/bin/env python3
"""Turn schema/NNNN_what.sql files into one C file: the migrations that the binary carries.

A file is written once for both databases, or per database as NNNN_what.sqlite.sql and NNNN_what.pg.sql (also beside the
common one of the same name: it is applied first). Types are few, and written in capitals: INTEGER or BIGINT is 64 bits on
both, BLOB or BYTEA is bytes; TEXT is taken as bytes, too, for every text is bound so. WITHOUT ROWID is SQLite's and left out
on PostgreSQL.
A line `-- compat: N` says that a binary which knows only schemas below N must not touch the database after this
migration; without one, older binaries may go on.

Usage: embed-schema.py OUTPUT FILE...        (run by meson)
"""
import hashlib, pathlib, re, sys

NAME = re.compile(r"(\d{4})_([a-z0-9_]+?)(\.sqlite|\.pg)?\.sql")
PIECE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|[A-Za-z_][A-Za-z_0-9]*|.", re.S)
TYPES = {
    "sqlite": {"BIGINT": "INTEGER", "BYTEA": "BLOB", "TEXT": "BLOB"},
    "pg": {"INTEGER": "BIGINT", "BLOB": "BYTEA", "TEXT": "BYTEA"},
}
REFUSED = {"AUTOINCREMENT", "SERIAL", "VARCHAR", "BOOLEAN", "REAL", "FLOAT", "DOUBLE", "TIMESTAMP"}


def fail(why):
    sys.exit("embed-schema: " + why)


def translate(sql, driver, path):
    out = []
    for piece in PIECE.findall(sql):
        if piece.startswith("--"):
            continue
        if piece.upper() in REFUSED:
            fail(f"{path}: {piece}: use INTEGER (64 bits) or BLOB; numbers are given by the store")
        out.append(TYPES[driver].get(piece, piece))
    text = "".join(out)
    if driver == "pg":
        text = re.sub(r"\)\s*WITHOUT\s+ROWID", ")", text, flags=re.I)
    return re.sub(r"[ \t]*\n[ \t\n]*", "\n", text).strip() + "\n"


def main(output, paths):
    found = {}
    for path in map(pathlib.Path, paths):
        m = NAME.fullmatch(path.name)
        if not m:
            fail(f"{path}: is not named NNNN_what.sql")
        number, what, driver = int(m[1]), m[2], (m[3] or "").lstrip(".")
        sql = path.read_text()
        if not sql.isascii():
            fail(f"{path}: is not ASCII")
        mig = found.setdefault(number, {"what": what, "compat": 0, "parts": {}})
        if mig["what"] != what:
            fail(f"two migrations have the number {number:04}: {mig['what']} and {what}")
        mig["parts"][driver] = (path, sql)
        m = re.search(r"^-- compat: (\d+)$", sql, re.M)
        mig["compat"] = max(mig["compat"], int(m[1]) if m else 0)
    with open(output, "w") as f:
        f.write("/* Made by tools/embed-schema.py. */\n#include \"store/internal_migrate.h\"\n\n")
        rows = []
        for number in sorted(found):
            mig = found[number]
            names = []
            for driver in ("sqlite", "pg"):
                parts = [mig["parts"][d] for d in ("", driver) if d in mig["parts"]]
                text = "".join(translate(sql, driver, path) for path, sql in parts)
                names.append(f"{driver}_{number:04}")
                data = ",".join(str(c) for c in text.encode() + b"\0")
                data = re.sub(r"((?:\d+,){32})", r"\1\n", data)
                total = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
                f.write(f"static const char {names[-1]}[] = {{\n{data}\n}};\n")
                names.append(f"INT64_C({total})")
            rows.append(f'\t{{ {number}, {mig["compat"]}, "{mig["what"]}", {{ {names[0]}, {names[1]} }}, '
                        f"{{ {names[2]}, {names[3]} }} }},\n")
        f.write("\nconst struct migration store_migrations[] = {\n" + "".join(rows) + "};\n")
        f.write("const size_t store_n_migrations = ARRAY_LEN(store_migrations);\n")


main(sys.argv[1], sys.argv[2:])
