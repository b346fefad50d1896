"""The look: fonts that ship with gradio, flat surfaces, thin lines, one accent a family. Nothing comes from afar."""

from pathlib import Path

from genlab.names import FAMILIES, require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent

# One accent a family, (on light, on dark); each has at least 4.5:1 against its background and, light, under white text.
ACCENTS = dict(
    zip(
        FAMILIES,
        [
            ("#3457b2", "#9db5ff"),
            ("#0b6e75", "#5fd0d8"),
            ("#7a3fa0", "#d3a6f2"),
            ("#2a7038", "#7fd08f"),
            ("#b0303a", "#ff9c9c"),
            ("#0068a8", "#6fc0f7"),
            ("#96510f", "#f0b36a"),
            ("#8c2f72", "#f09ad6"),
            ("#4d6300", "#bcd25e"),
            ("#6b4f3a", "#d9bba2"),
        ],
        strict=True,
    )
)


def look() -> dict:
    """Arguments of `launch()` or `mount_gradio_app()` that dress a page: theme, css, head, footer."""
    accents = "\n".join(
        f".gl-{family} {{ --gl-accent: {light}; }}\n.dark .gl-{family} {{ --gl-accent: {dark}; }}"
        for family, (light, dark) in ACCENTS.items()
    )
    return {
        "theme": _theme(),
        "css": (HERE / "style.css").read_text(encoding="utf-8") + accents,
        "head": f"<script>{(HERE / 'keys.js').read_text(encoding='utf-8')}</script>",
        "footer_links": ["api"],
    }


def _theme():
    # Of the fonts in gradio's wheel, Source Sans 3 and all SemiBold files lack the Latin letters; these two are whole.
    text = [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"]
    code = [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"]
    theme = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=text,
        font_mono=code,
        spacing_size="md",
        radius_size="sm",
        text_size="md",
    )
    flat = {
        "body_background_fill": ("#ffffff", "#101418"),
        "body_text_color": ("#1b2430", "#e6eaf0"),
        "body_text_color_subdued": ("#55606e", "#a3adba"),
        "block_background_fill": ("#ffffff", "#101418"),
        "background_fill_primary": ("#ffffff", "#101418"),
        "background_fill_secondary": ("#f5f7f9", "#181e25"),
        "border_color_primary": ("#d9dfe6", "#2c3540"),
        "input_background_fill": ("#ffffff", "#181e25"),
        "input_border_color": ("#b8c2cd", "#3d4855"),
        "button_secondary_background_fill": ("#ffffff", "#101418"),
        "button_secondary_background_fill_hover": ("#f0f3f6", "#1f2730"),
        "button_secondary_border_color": ("#b8c2cd", "#3d4855"),
        "button_secondary_text_color": ("#1b2430", "#e6eaf0"),
        "table_even_background_fill": ("#ffffff", "#101418"),
        "table_odd_background_fill": ("#ffffff", "#101418"),
    }
    both = {
        "block_border_width": "0px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "block_title_text_weight": "600",
        "block_padding": "0px",
        "layout_gap": "16px",
        "form_gap_width": "16px",
        "button_border_width": "1px",
        "button_primary_shadow": "none",
        "button_secondary_shadow": "none",
        "section_header_text_weight": "600",
    }
    pairs = {key: light for key, (light, _) in flat.items()} | {f"{key}_dark": dark for key, (_, dark) in flat.items()}
    return theme.set(**pairs, **both)
