"""English spelling to ARPAbet by ordered rules, for words that no dictionary lists.

In the manner of the text-to-phone rules of the Naval Research Laboratory (Elovitz et al., 1976): at each letter the
first rule whose letters and contexts fit gives phones and moves on. The table is this project's own.
"""

from __future__ import annotations

import re
from functools import cache

from lightning_wavenet.text.symbols import VOWELS

# left(letters)right=PHONES, each part but the phones a regular expression, in which
#   C is a consonant letter, V a vowel letter, F one that softens c and g (e i y), and E an ending over which a silent
#   e, written or dropped, works. Phones stand between dots; a vowel with a 0 never carries the stress.
_TABLE = r"""
^(a)$=AH0  (aa)=AA  (aer)=EH.R  (ae)=EH  (ah)=AA  (aigh)=EY  (air)=EH.R  (ai)=EY  l(augh)=AE.F  (augh)=AO  (au)=AO
(awe?)=AO  (ayor)=EY.ER0  (ay)=EY  [wu](ar)=AO.R  C(ards?)$=ER0.D  (are)[ds]?$=EH.R  V.*C(ars?)$=ER0
V.+(ary)$=EH.R.IY  (arr?)[eiy]=EH.R  (a)rV=AE  (ar)=AA.R  (alk)=AO.K  (alm)=AA.M  (a)l[dt]=AO  (a)lls?$=AO
V.*.(al)s?$=AH0.L  V.*.(ally)$=AH0.L.IY  w(a)[ntslr]=AA  qu(a)C[^e]=AA  (a)nge=EY  (a)ste[drs]?$=EY
V.*C(age)[sd]?$=IH0.JH  V.*(able)s?$=AH0.B.AH0.L  V.*(ably)$=AH0.B.L.IY  V.*C(an)s?$=AH0.N  V.*C(ance)s?$=AH0.N.S
V.*C(ant)(?:s|ly)?$=AH0.N.T  (a)ti[ovn]=EY  (a)CE=EY  (a)[bcdgkpt]le=EY  (a)CiV=EY  (a)ceous=EY  V.*(a)s?$=AH0
(a)C[aoi]s?$=AA  (a)=AE
(bb)=B  m(b)s?$=  (bt)$=T  (b)=B
(cch)=K  (cc)F=K.S  (ck|cc)=K  (cqu)=K.W  (ch)[rlmnt]=K  s(ch)[oe]=K  (cz)=CH  (ch)=CH  (ci)ou=SH  (ci)a=SH  (ci)en=SH
s(c)F=  (c)F=S  (c)=K  ^(co)n[^aeiou]=K.AH
(dge)$=JH  (dge)[rd]=JH.ER0  (dg)=JH  (?:[pkfxcs]|[sc]h)e(d)$=T  (dd)=D  (dt)=T  (dj)=JH  (d)u[ac]=JH  (d)=D
(eau)=OW  (eigh)=EY  (ear)[ndlt]=ER  (ear)=IH.R  (ea)d$=EH  (ea)th=EH  (ealth)=EH.L.TH  (ea)su=EH  (ea)v[ye]=EH
cr(ea)t=IY.EY  (ea)=IY  (eer)=IH.R  (ee)=IY  (e)ing=IY  c(ei)=IY  (ei)r=EH  (ei)=AY  (eou)s=IY.AH0  (eo)=IY.AH
(eur)=ER  (eu)=OY  [rljdstn](ew)=UW  (ew)=Y.UW  V.*(ey)s?$=IY  ^(eye)=AY  (ey)=EY  (eres?)$=IH.R  (err)V=EH.R
(eri)[aeo]=IH.R.IY  (e)r[iyao]=EH  V.*(ere)d$=ER0  (er)=ER  [td](e)d$=IH0  V.*(e)d$=  [szcgx](e)s$=IH0  [cs]h(e)s$=IH0
V.*C(e)s$=  [aeiou]C*(e)$=  V.*C(e)$=  (e)$=IY
V.*C(e)(?:ly|ful|less|ness|ment|man|men|wood|town|ville|ton|back|land|field)s?$=  V.*C(el)s?$=AH0.L  V.*C(en)s?$=AH0.N
V.*C(ent)(?:s|ly)?$=AH0.N.T  V.*C(ence)s?$=AH0.N.S  V.*C(ency)$=AH0.N.S.IY  V.*C(et)s?$=AH0.T  V.*C(ess)$=AH0.S
^(e)x=IH  ^C?(e)CV=IH  (e)CE=IY  (e)C[ao]$=EH  (e)=EH
(ff?)=F
(gg)=G  ^(gh)=G  (gh)t=  [aeiou](gh)=  (gh)=G  ^(gn)=N  (gn)s?$=N  (gu)[ei]=G  (gi)on=JH  (gi)ous=JH  (gi)[ao]=JH
^(g)[ei][trlb]=G  n(g)er=G  n(g)s?$=  n(g)th=  (g)F=JH  (g)=G
^(hono)=AA.N.AH  ^(hour)=AW.ER  [aeiou](h)(?:C|$)=  r(h)=  (h)$=  (h)=HH
(igh)=AY  (ign)s?$=AY.N  (ind)s?$=AY.N.D  (ild)$=AY.L.D  (ieu)=UW  ^C+(ie)[sd]?$=AY  C(ie)[sd]?$=IY  (iers?)$=IY.ER0
(ier)=IH.R  (iet)=AY.AH  (ie)[cflv]=IY  (ien)=IY.AH.N  (ie)=IY  (ique)=IY.K  (ires?)$=AY.R  (irr?)V=IH.R
(ir)=ER  (ism)s?$=IH.Z.AH0.M  V.*(ive)s?$=IH0.V  V.*(ine)s?$=IY.N  (iz)[ei]=AY.Z  (iz)ation=AH0.Z  (ise)[sdr]?$=AY.Z
^C*(i)a=AY  [ln](io)n=Y.AH0  (iou)=IY.AH0  (iu)=IY.AH0  (ia)n?s?$=IY.AH0  (i)[ao]=IY  (i)CE=AY  ^C*(i)[bcdgkpt]le=AY
V.*(ity)$=AH0.T.IY  V.*(ities)$=AH0.T.IY.Z  (ically)=IH0.K.L.IY  (ica)l=IH0.K.AH0  (i)C[ao]s?$=IY  (i)s?$=IY  (i)=IH
(jj?)=JH
^(kn)=N  (kk?)=K
C(l)es?$=AH0.L  C(l)ed$=AH0.L  (ll?)=L
(mm)=M  ^(mcc?)=M.AH0.K  ^(mack?)C=M.AH0.K  (mn)$=M  (m)=M
(nn)=N  (ng)s?$=NG  (n)ge=N  (ng)i=N.JH  (ng)th=NG  (n)g=NG  (n)[kqx]=NG  (n)c[aouht]=NG  (n)=N
(oar)=AO.R  (oa)=OW  (oeu)=ER  (oe)=OW  (oir)=W.AA.R  (oi)=OY  (ook)=UH.K  (ood)=UH.D  (oor)=AO.R  (oo)=UW  (oy)=OY
(ough)t=AO  r(ough)=AH.F  (ough)=OW  (oul)d=UH  V.*C(our)s?$=ER0  (our)=AO.R  (oub)le=AH.B  (ous)$=AH0.S
(ously)$=AH0.S.L.IY  (ou)[ntscd]=AW  (ou)=UW  (ower)=AW.ER0  V.*(ow)s?$=OW  (ow)s?$=OW  (ow)[lndek]=AW  (ow)=OW
w(or)[dkltsm]=ER  V.*C(ors?)$=ER0  (ores?)$=AO.R  (orr?)=AO.R  (o)ld=OW  (olk)=OW.K  (o)lls?$=OW  (o)lt=OW
(o)sts?$=OW  (o)ther=AH  (o)ver=OW  (o)ve[drs]?=AH  (ome)$=AH.M  (o)log=AA  (o)ng=AO  (o)ss=AO  V.*C(on)s?$=AH0.N
V.*C(om)$=AH0.M  (o)CE=OW  (o)CiV=OW  (o)s?$=OW  (o)Co=AA  (o)C[ai]$=OW  (o)[mn]V=AA  (o)=AA
(ph)=F  (pp)=P  ^(p)[snf]=  (p)=P
(ques?)$=K  (qu)=K.W  (q)=K
(rrh?|rh)=R  (r)=R
(ssi)on=SH  C(si)on=SH  V(si)on=ZH  (ssur)e=SH.ER  V(sur)e=ZH.ER  (sch)=SH  (sh)=SH  (ss)=S  (st)le=S  (st)en$=S
V(s)m=Z  V(s)ed$=Z  [aoiu](s)es?$=Z  V(s)ing=Z  [bdglmnrvwy](s)$=Z  [aeo](s)$=Z  ie(s)$=Z  ea(s)=Z  [bdglmnrv]e(s)$=Z
^[dm]i(s)=S  i(s)V=Z  (s)=S
(tch)=CH  s(tio)n=CH.AH0  (tio)n=SH.AH0  (ti)a=SH  (ti)ou=SH  (ti)en=SH  (ture)s?$=CH.ER0  (t)u[raeo]=CH  (tth)=TH
V(th)er=DH  ^(th)[aeo][nmtyir]?$=DH  (th)e$=DH  (th)=TH  (tt)=T  (tz)=T.S  (t)=T
^(uni)=Y.UW.N.AH  (ui)ld=IH  (ui)=UW.IH  (uy)=AY  g(u)[ai]=W  (ue)s?$=UW  (ue)=UW.EH  (ures?)$=Y.ER0  (ur)V=UH.R
(ur)=ER  V.*(us)$=AH0.S  V.*(um)s?$=AH0.M  [rljsdtnx](u)CV=UW  (u)CE=Y.UW  [bcfhmpv](u)CV=Y.UW  (u)ll=UH  (u)sh=UH
C(u)a=Y.UW  (u)[ei]=W  (u)C[aoi]=UW  (u)s?$=UW  (u)=AH
(vv?)=V
(who)=HH.UW  (wh)=W  ^(wr)=R  [aeo](w)$=  (w)=W
^(x)=Z  ^e(x)V=G.Z  (x)=K.S
^(y)V=Y  ^C*(y)$=AY  (y)s?$=IY  (y)CE=AY  ^C*(y)CV=AY  [aeiou](y)V=Y  (y)=IH
(zz?)=Z
"""
_CLASSES = {
    "C": "[bcdfghjklmnpqrstvwxz]",
    "V": "[aeiouy]",
    "F": "[eiy]",
    "E": "(?:(?:es?|ed|ers?|ings?|ely)$)",
}

_Rule = tuple[re.Pattern[str], re.Pattern[str], tuple[str, ...]]


def _pattern(context: str) -> str:
    return re.sub("[CVFE]", lambda match: _CLASSES[match[0]], context)


@cache
def _rules() -> dict[str, list[_Rule]]:
    """The table by first letter: left context, letters with right context, phones."""
    rules: dict[str, list[_Rule]] = {}
    for rule in _TABLE.split():
        left, letters, right, phones = re.findall(r"(.*?)\((?!\?)(.*?)\)(.*)=(.*)", rule)[0]
        compiled = (re.compile(f"(?:{_pattern(left)})$"), re.compile(f"(?:{letters})(?={_pattern(right)})"))
        rules.setdefault(letters[0], []).append((*compiled, tuple(filter(None, phones.split(".")))))
    return rules


def _segments(word: str) -> list[str]:
    """The phones without stress but the 0 of the table."""
    phones: list[str] = []
    at = 0
    while at < len(word):
        for left, letters, said in _rules()[word[at]]:
            fits = letters.match(word, at)
            if fits and left.search(word[:at]):
                phones += said
                at = fits.end()
                break
    return phones


# Endings by which the stressed syllable is counted from the last.
_STRESS = tuple(
    (re.compile(rf"(?:{endings})$"), back)
    for endings, back in (
        (r"(?:ee|eer|ette|esque|ese|aire|oon|ique)s?", 1),
        (r"(?:ic|[tsg]ion|cian|[ct]ial|[ctg]ious)s?", 2),
        (r"(?:it(?:y|ies)|ical|ify|logy|logist|graphy|ial|ian|ious|eous|ium|i[ao]|ual|ular|tional)s?", 3),
        (r"(?:ically|tionally|ionist|logical)", 3),
        (r"(?:at|iz|is)(?:ing|ors?|ers?)|at(?:ed|ive)|i[zs]ation", 4),
        (r"(?:at|iz|is)e[sd]?", 3),
        (r"[^aeiou](?:[aoi])s?", 2),
    )
)
_WEAK_PREFIX = re.compile("(?:be|de|re|pre|pro|con|com|ex|un|dis|mis|sur|per|a(?=[bcdflnpst])[a-z])[^aeiouy]")
_STRONG_END = re.compile("(?:y|er|le|ow)s?$")


def _primary(word: str, phones: list[str], nuclei: list[int]) -> int:
    """Which of the vowels has the primary stress."""
    count = len(nuclei)
    for ending, back in _STRESS:
        if ending.search(word):
            return max(0, count - back)
    free = [order for order, at in enumerate(nuclei) if not phones[at].endswith("0")] or [0]
    if 1 in free and _WEAK_PREFIX.match(word) and (count > 2 or not _STRONG_END.search(word)):
        return 1
    return free[0] if count < 4 or count - 3 not in free else count - 3


def sounds(word: str) -> tuple[str, ...]:
    """The phones of a word of the letters a to z, its vowels with stress; empty for an empty word.

    One vowel has the primary stress, the second before it a secondary one; full vowels beside it weaken.
    """
    phones = _segments(word)
    nuclei = [at for at, phone in enumerate(phones) if phone.rstrip("0") in VOWELS]
    primary = _primary(word, phones, nuclei) if nuclei else 0
    for order, at in enumerate(nuclei):
        full = phones[at].rstrip("0")
        if order == primary:
            phones[at] = f"{full}1"
        elif abs(order - primary) == 1 and full in ("AA", "AE", "EH") and phones[at + 1 : at + 2] != ["R"]:
            phones[at] = "AH0"
        else:
            phones[at] = f"{full}{2 if order == primary - 2 and full == phones[at] else 0}"
    return tuple(phones)
