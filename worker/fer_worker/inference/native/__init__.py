"""The networks as compiled code (entries.cpp), the detector's with the resizing that feeds them.

It lets go of the interpreter lock while it computes, and keeps no memory for the shapes that it
meets. It is compiled when fer-worker is installed or its wheel is built.
"""
