-- Forwards frontal chest radiographs to Pleura when Orthanc has stored them.
--
-- Loops are avoided twice: what came from Pleura is not sent to it, and what says that Pleura made
-- it is not either, whoever sent it. The node drops its own results, too.
--
-- Orthanc sends in the background and tries a job once: when the node is away, the image stays in
-- Orthanc and is not sent again by itself. `pleura pull` fetches what was missed; see docs/service.md.

local PEER = 'pleura'            -- the name under DicomModalities in orthanc.json
local PLEURA_AET = 'PLEURA'      -- the AE title that Pleura sends results by

local MODALITIES = { CR = true, DX = true }
local SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
local CHEST = { 'CHEST', 'THORAX', 'LUNG', 'RIB' }

local function text(value)
   return string.upper(value or '')
end

local function isOwn(tags, origin)
   local made = text(tags['Manufacturer']) == 'PLEURA'
      and text(tags['ManufacturerModelName']) == 'PLEURA PNEUMOTHORAX DETECTION'
   return made or (origin['RequestOrigin'] == 'DicomProtocol' and origin['RemoteAet'] == PLEURA_AET)
end

-- An empty body part says nothing; the node's gate looks at the picture itself.
local function mayBeChest(tags)
   local part = text(tags['BodyPartExamined'])
   if part == '' then
      return true
   end
   for _, term in ipairs(CHEST) do
      if string.find(part, term, 1, true) then
         return true
      end
   end
   return false
end

-- A Secondary Capture may be anything: only one that says it is a chest radiograph is sent.
local function isRadiograph(tags)
   if MODALITIES[text(tags['Modality'])] then
      return true
   end
   return tags['SOPClassUID'] == SECONDARY_CAPTURE
      and text(tags['BodyPartExamined']) ~= ''
      and text(tags['Modality']) ~= 'CT' and text(tags['Modality']) ~= 'MR'
end

function OnStoredInstance(instanceId, tags, metadata, origin)
   if not isOwn(tags, origin) and isRadiograph(tags) and mayBeChest(tags) then
      SendToModality(instanceId, PEER)
   end
end
