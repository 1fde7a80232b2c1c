#!/usr/bin/env python3
"""Makes the encrypted PDF files here.  pip install pypdf[crypto] reportlab

    python3 tests/data/pdf/make.py
"""
import io, pathlib
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen import canvas

HERE = pathlib.Path(__file__).parent
for algorithm in ("RC4-40", "RC4-128", "AES-128", "AES-256"):
    for user in ("", "user"):
        page = io.BytesIO()
        drawn = canvas.Canvas(page, invariant=True)
        drawn.drawString(72, 700, f"The tide gate is closed by {algorithm}.")
        drawn.save()
        writer = PdfWriter(clone_from=PdfReader(page))
        writer.encrypt(user, "owner", algorithm=algorithm)
        writer.write(HERE / f"{'user' if user else 'owner'}-{algorithm.lower()}.pdf")
