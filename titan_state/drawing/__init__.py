"""Drawing: timelines and the model as SVG and DOT, and reports as self-contained pages.

It makes text of what it is given: it reads nothing, sends nothing and waits for nothing. Everything is built as a tree
of elements and escaped when it is written, so text of the service stays text.
"""
