"""Results as one HTML page that needs no network and no script.

    rows ──Summary.add──▶ summary ──draw──▶ figures ──┐
                             └──read_thumbnails──▶ pictures ──render_page──▶ HTML

Rows are read once and not kept: what stays of them are counts, bins of the time axis, the latencies
of each batch (48 bytes), and the few rows whose pictures are shown.
"""
