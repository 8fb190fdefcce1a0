"""How catalogues call their columns: the usual names, UCDs and frames.

Names come in ranks, best first. The first rank that a table has decides; two columns of that rank
are ambiguous.
"""

from dataclasses import dataclass

__all__ = [
    "BANDS",
    "COOSYS_FRAMES",
    "ERROR_NAMES",
    "KINDS",
    "POSITION_RANKS",
    "POSITION_UCDS",
    "Kind",
]

# A rank a line: the frame, and pairs of longitude and latitude in lower case, where blanks and
# brackets count as _. J2000 is taken for ICRS: FK5 is within 0.1 arcsec of it, and catalogues
# since Hipparcos mean ICRS by it.
_PAIRS = (
    "icrs ra,dec",
    "icrs ra_icrs,de_icrs ra_icrs,dec_icrs raicrs,deicrs raicrs,decicrs",
    "icrs raj2000,dej2000 raj2000,decj2000 ra_j2000,dec_j2000 ra_j2000,de_j2000 ra2000,dec2000",
    "icrs _raj2000,_dej2000 _raj2000,_decj2000 _ra_icrs,_de_icrs _ra.icrs,_de.icrs _ra,_de",
    "icrs radeg,decdeg radeg,dedeg ra_deg,dec_deg ra_deg,de_deg ra_d,dec_d rad,decd",
    "icrs right_ascension,declination rightascension,declination",
    "icrs alpha_j2000,delta_j2000",
    "icrs alphawin_j2000,deltawin_j2000",
    "icrs alphapeak_j2000,deltapeak_j2000 alphapsf_j2000,deltapsf_j2000",
    "icrs alpha_sky,delta_sky alphawin_sky,deltawin_sky",
    "icrs xwin_world,ywin_world",
    "icrs x_world,y_world",
    "icrs ra_targ,dec_targ ra_target,dec_target target_ra,target_dec",
    "icrs ra_obj,dec_obj ra_cluster,dec_cluster ra_cl,dec_cl cluster_ra,cluster_dec",
    "icrs ramean,decmean meanra,meandec ra_mean,dec_mean rastack,decstack",
    "icrs s_ra,s_dec plug_ra,plug_dec coord_ra,coord_dec",
    "icrs ra_bcg,dec_bcg rabcg,debcg rabcg,decbcg bcg_ra,bcg_dec bcg_radeg,bcg_decdeg",
    "icrs ra_opt,dec_opt ra_x,dec_x ra_sz,dec_sz",
    "icrs alpha,delta",
    "fk4 rab1950,deb1950 rab1950,decb1950 ra_b1950,dec_b1950 ra1950,dec1950 ra1950,de1950",
    "galactic glon,glat gal_lon,gal_lat gal_l,gal_b _glon,_glat",
    "barycentricmeanecliptic elon,elat ecl_lon,ecl_lat _elon,_elat",
    "supergalactic sgl,sgb sglon,sglat _sglon,_sglat",
    "galactic l,b",
)
POSITION_RANKS = [
    (line.split()[0], [tuple(pair.split(",")) for pair in line.split()[1:]]) for line in _PAIRS
]
# Longitude and latitude as UCD1+ and as UCD1 have them.
POSITION_UCDS = (
    (("pos.eq.ra", "pos_eq_ra"), ("pos.eq.dec", "pos_eq_dec"), "icrs"),
    (
        ("pos.galactic.lon", "pos_gal_lon"),
        ("pos.galactic.lat", "pos_gal_lat"),
        "galactic",
    ),
    (
        ("pos.ecliptic.lon", "pos_ec_lon"),
        ("pos.ecliptic.lat", "pos_ec_lat"),
        "barycentricmeanecliptic",
    ),
)
# Words of VOTable's COOSYS.
COOSYS_FRAMES = {
    "ICRS": "icrs",
    "eq_FK5": "fk5",
    "eq_FK4": "fk4",
    "galactic": "galactic",
    "supergalactic": "supergalactic",
    "ecl_FK5": "barycentricmeanecliptic",
}


@dataclass(frozen=True)
class Kind:
    """A kind of column: a pattern of its whole UCD, and ranks of names."""

    ucd: str | None
    ranks: tuple
    numeric: bool = True


KINDS = {
    # Of a spectroscopic and a photometric column the first is often empty and the second rough:
    # they share a rank, so that having both asks for a decision. redMaPPer's z_lambda is complete.
    "redshift": Kind(
        r"(src\.)?redshift([._;].*)?",
        (
            "redshift",
            "z",
            "z_best zbest best_z",
            "z_cl zcl z_cluster",
            "z_lambda zlambda",
            "z_spec zspec spec_z specz z_phot zphot zph photoz photo_z phot_z photz zred",
            "z_bcg zbcg bcg_z",
        ),
    ),
    # Named after the redshift's own column, see ERROR_NAMES.
    "redshift_error": Kind(r"stat\.error;src\.redshift.*", ()),
    "richness": Kind(
        None,
        (
            "richness",
            "lambda lambda_chisq lambda_cl lambda_rm",
            "rl* rl_star rlstar rl rl*500",
            "n200 n_200 ngal ngals n_gal n_gals",
            "rich",
        ),
    ),
    "score": Kind(None, ("score", "confidence conf")),
    "probability": Kind(r"stat\.probability(;.*)?", ("probability", "prob", "p_cluster pcl")),
    "magnitude": Kind(
        r"phot[._]mag(;.*)?",
        (
            "magnitude mag",
            "imag i_mag mag_i",
            "rmag r_mag mag_r",
            "i",
            "r",
            "m10",
            "mag_auto mag_bcg bcg_mag rmag_bcg imag_bcg",
        ),
    ),
    "id": Kind(
        r"meta\.id(;.*)?|id_main",
        (
            "id",
            "name",
            "objid source_id object_id objectid mem_match_id cluster_id aco",
            "main_id designation cluster object",
        ),
        numeric=False,
    ),
    "label": Kind(None, ("label", "class", "type", "text"), numeric=False),
}
BANDS = {"u", "g", "r", "i", "y", "j", "h", "k"}
ERROR_NAMES = "{}_err {}_error {}err {}error e_{} err_{} {}_e {}_unc sigma_{} {}_sigma {}_std"
