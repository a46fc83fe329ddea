[CatalogHeader]
Name=ndisprot.cat
CatalogVersion=2
HashAlgorithms=SHA256
PageHashes=true
CATATTR1=0x10010001:OSAttr:2:10.0

[CatalogFiles]
<HASH>ndisprot.inf=ndisprot.inf
<HASH>ndisprot.infATTR1=0x10010001:File:ndisprot.inf
<HASH>ndisprot.infATTR2=0x10010001:OSAttr:2:10.0
<HASH>ndisprot.sys=ndisprot.sys
<HASH>ndisprot.sysATTR1=0x10010001:File:ndisprot.sys
<HASH>ndisprot.sysATTR2=0x10010001:OSAttr:2:10.0
