[CatalogHeader]
Name=vck.cat
CatalogVersion=2
HashAlgorithms=SHA256
PageHashes=true
CATATTR1=0x10010001:OSAttr:2:10.0

[CatalogFiles]
<HASH>vck.inf=vck.inf
<HASH>vck.infATTR1=0x10010001:File:vck.inf
<HASH>vck.infATTR2=0x10010001:OSAttr:2:10.0
<HASH>vck.sys=vck.sys
<HASH>vck.sysATTR1=0x10010001:File:vck.sys
<HASH>vck.sysATTR2=0x10010001:OSAttr:2:10.0
